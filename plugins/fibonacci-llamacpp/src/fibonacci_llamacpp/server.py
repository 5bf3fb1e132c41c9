"""llama.cpp's server in this process, listening where only this user can reach it.

llama.cpp comes as a server, and a server listens somewhere. Ours listens on a Unix socket in a
folder that only this user can enter, and on no port: a port would be open, with no password, to
every user of the machine, and to the web pages in its browsers.
"""

import ctypes
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from fibonacci.errors import ModelError

SLOTS: Final = 4
"""Requests that are answered at the same time; others wait in line."""
CONTEXT: Final = 4096
"""Tokens that a prompt and its answer may have together: memory is taken for them when loading."""

SOCKET: Final = "llama.sock"
"""llama.cpp tells a socket by this ending."""
LONGEST_SOCKET: Final = 100
"""Bytes in a socket's path, a little under what systems allow (104 on macOS, 108 on Linux)."""


class RunningServer:
    """A loaded model, and the connections to it."""

    def __init__(self, weights: Path) -> None:
        """Load the model. Raises ModelError."""
        # By name, as it has no types; and here, as it takes 62 ms and 106 MB.
        llama: Any = import_module("xllamacpp")
        self._links: set[socket.socket] = set()
        self._folder = _private_folder()
        self._address = f"{self._folder}/{SOCKET}"
        try:
            params = _set_up(llama.CommonParams(), weights, self._address)
            self._server: Any = llama.Server(params)
        except (RuntimeError, ValueError) as error:
            shutil.rmtree(self._folder)
            raise ModelError(
                f"llamacpp: can't load {weights}: the file is damaged, or of a kind that this "
                "version of llama.cpp does not know, or too large for the memory"
            ) from error

    def connect(self) -> socket.socket:
        """Return a new connection; it never waits, as the server listens with a long queue."""
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(self._address)
        except OSError:
            link.close()
            raise
        self._links.add(link)
        return link

    def disconnect(self, link: socket.socket) -> None:
        """Close a connection; llama.cpp ends what it was doing for it at the next token."""
        self._links.discard(link)
        # Not just closed: a forked child would hold it open.
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
        link.close()

    def stop(self) -> None:
        """End all that it does, and free the model."""
        for link in tuple(self._links):  # the server would wait for the readers
            self.disconnect(link)
        self._server = None  # its destructor stops it
        shutil.rmtree(self._folder, ignore_errors=True)

    def leave_to_parent(self) -> None:
        """Never stop it, in a forked child: the destructor would wait for the parent's threads."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))


def _private_folder() -> str:
    folder = tempfile.mkdtemp(prefix="fibonacci-")
    if len(os.fsencode(f"{folder}/{SOCKET}")) <= LONGEST_SOCKET:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="fibonacci-", dir="/tmp")


def _set_up(params: Any, weights: Path, address: str) -> Any:
    params.model.path = str(weights)
    params.hostnames = [address]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    # Half of the CPUs: the cores, where each is two. With all of them, its threads wait for each
    # other in loops as soon as something else runs: 15 tokens a second in the place of 70.
    params.cpuparams.n_threads = max(1, (os.cpu_count() or 2) // 2)
    # A prompt is read in steps, and between two of them a request can end: a second of work each.
    params.n_batch = params.n_ubatch = 128
    params.fit_params = False  # it would quietly take a smaller context
    params.cache_ram_mib = 0  # earlier prompts: up to 8 GiB of them
    params.warmup = False
    params.enable_reasoning = 0  # a workflow wants the answer, not the thoughts before it
    params.ui = params.endpoint_slots = False
    params.verbosity = -1  # not a word on stderr
    return params
