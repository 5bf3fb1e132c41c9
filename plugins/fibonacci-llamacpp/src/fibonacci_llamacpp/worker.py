"""The program of the process that holds a model: ``worker.py WEIGHTS SOCKET CONTEXT_SIZE``.

It listens on a Unix socket in a folder that only this user can enter, and on no port: a port would
be open, without a password, to every user of the machine and to the web pages in its browsers.
Standard input is a socket, too: the worker reports there when it is ready, or why it fails, and
exits when the other end is closed.
"""

import os
import shutil
import socket
import sys
from importlib import import_module
from typing import Any

SLOTS = 4
"""Requests processed at the same time; others are queued."""
CONTEXT_SIZE = 4096
"""Tokens of a prompt and its output together; their memory is allocated when loading."""

READY = b"!"


def configure(params: Any, weights: str, address: str, context: int) -> Any:
    """Set the parameters that differ from llama.cpp's defaults, and return them."""
    params.model.path = weights
    params.hostnames = [address]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * context
    params.fit_params = False  # it would silently use a smaller context
    # Half of the CPUs: the cores, where each has two threads. With all of them, llama.cpp's threads
    # spin on each other as soon as something else runs: 15 tokens a second instead of 70.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)
    # A prompt is processed in batches of about a second; a request can be cancelled between two.
    params.n_batch = params.n_ubatch = 128
    params.cache_ram_mib = 0  # earlier prompts: up to 8 GiB of them
    params.enable_reasoning = 0  # a workflow uses the output, not the reasoning before it
    params.ui = params.endpoint_slots = params.warmup = False
    params.verbosity = -1  # no output
    return params


def main(weights: str, address: str, context: str) -> None:
    """Serve until the other end of standard input is closed."""
    owner = socket.socket(fileno=0)
    try:
        llama: Any = import_module("xllamacpp")  # by name, as it has no types
    except ImportError as error:
        owner.sendall(f"{error}".encode())
        return
    server = llama.Server(configure(llama.CommonParams(), weights, address, int(context)))
    owner.sendall(READY)
    owner.recv(1)
    shutil.rmtree(os.path.dirname(address), ignore_errors=True)
    # At once: the server's destructor would wait for running generations.
    os._exit(0 if server else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
