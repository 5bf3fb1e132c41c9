"""The program of the process that holds a model: ``worker.py WEIGHTS SOCKET``.

It answers on a Unix socket, in a folder that only this user can enter, and on no port: a port would
be open, with no password, to every user of the machine, and to the web pages in its browsers. On
its standard input, a socket too, it says when it is ready, or why it can't be; when that ends, so
does it.
"""

import os
import shutil
import socket
import sys
from importlib import import_module
from typing import Any

SLOTS = 4
"""Requests that are answered at the same time; others wait in line."""
CONTEXT = 4096
"""Tokens that a prompt and its answer may have together: memory is taken for them when loading."""

READY = b"!"


def set_up(params: Any, weights: str, address: str, context: int) -> Any:
    """Fill in what is not as llama.cpp would have it."""
    params.model.path = weights
    params.hostnames = [address]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * context
    params.fit_params = False  # it would quietly take a smaller context
    # Half of the CPUs: the cores, where each is two. With all of them, its threads wait for each
    # other in loops as soon as something else runs: 15 tokens a second in the place of 70.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)
    # A prompt is read in steps, and between two of them a request can end: a second of work each.
    params.n_batch = params.n_ubatch = 128
    params.cache_ram_mib = 0  # earlier prompts: up to 8 GiB of them
    params.enable_reasoning = 0  # a workflow wants the answer, not the thoughts before it
    params.ui = params.endpoint_slots = params.warmup = False
    params.verbosity = -1  # not a word
    return params


def main(weights: str, address: str, context: str) -> None:
    """Serve until the other side of standard input is closed."""
    owner = socket.socket(fileno=0)
    try:
        llama: Any = import_module("xllamacpp")  # by name, as it has no types
    except ImportError as error:
        owner.sendall(f"{error}".encode())
        return
    server = llama.Server(set_up(llama.CommonParams(), weights, address, int(context)))
    owner.sendall(READY)
    owner.recv(1)
    shutil.rmtree(os.path.dirname(address), ignore_errors=True)
    # At once: its destructor would wait for answers that nobody wants any more.
    os._exit(0 if server else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
