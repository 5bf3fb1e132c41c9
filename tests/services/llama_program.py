"""The server process of `llama.py`: ``llama_program.py WEIGHTS PORT KEY``."""

import os
import signal
import sys
from importlib import import_module
from typing import Any


def main(weights: str, port: str, key: str) -> None:
    """Serve until SIGINT."""
    llama: Any = import_module("xllamacpp")  # by name, as it has no types
    params = llama.CommonParams()
    params.model.path = weights
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], int(port), [key]
    params.n_parallel, params.n_ctx, params.fit_params = 2, 16_384, False
    params.slot_prompt_similarity = 0.6  # two alternating users have a slot each
    params.n_batch = params.n_ubatch = 128  # between two steps of a prompt a request can end
    params.sampling.temp = 0.0  # the same prompt gives the same completion
    # A few words, and no more: the model would say a thousand tokens, if it may.
    params.sampling.grammar = llama.CommonGrammar(1, "root ::= [a-zA-Z ,.]{1,10}")
    params.cpuparams.n_threads = 1
    params.cache_ram_mib = params.enable_reasoning = 0
    params.ui = params.endpoint_slots = params.warmup = False
    params.verbosity = -1
    server = llama.Server(params)
    # At once: its destructor would wait for completions that nobody reads.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0 if server else 1))
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
