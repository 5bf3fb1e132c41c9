"""llama.cpp's server, in a process of its own that ends with ours.

Not in this process: llama.cpp ends a process that it can't go on in, xllamacpp holds the
interpreter's lock while it loads, and a child that is forked beside its threads ends in a crash.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from fibonacci.errors import ModelError
from fibonacci_llamacpp import worker

SOCKET: Final = "llama.sock"
"""llama.cpp tells a socket by this ending."""
LONGEST_SOCKET: Final = 100
"""Bytes in a socket's path, a little under what systems allow (104 on macOS, 108 on Linux)."""


class Server:
    """A worker with one model, loading or loaded, and the connections to it."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._links: set[socket.socket] = set()
        self._folder = _private_folder()
        self._address = f"{self._folder}/{SOCKET}"
        self._is_ready = False
        self._is_ours = True
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = self._start(theirs.fileno())

    def _start(self, channel: int) -> subprocess.Popen[bytes]:
        # -P: the worker's folder has modules of ours, and is no place for others to be found in.
        command = [sys.executable, "-P", worker.__file__]
        try:
            return subprocess.Popen(  # noqa: S603 - our own program
                [*command, str(self._weights), self._address, str(worker.CONTEXT)],
                stdin=channel,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the program, not for its worker
            )
        except OSError as error:
            self._channel.close()
            os.rmdir(self._folder)
            raise ModelError(
                f"llamacpp: can't start sys.executable, {sys.executable!r}: {error.strerror}. "
                "Set it to a Python that has fibonacci-llamacpp"
            ) from error

    @property
    def is_ready(self) -> bool:
        """Say whether the model is loaded."""
        return self._is_ready

    @property
    def is_running(self) -> bool:
        """Say whether the process lives."""
        return self._process.poll() is None

    def wait(self, seconds: float | None) -> None:
        """Wait until the model is loaded. Raises TimeoutError or ModelError."""
        if self._is_ready:
            return
        self._channel.settimeout(seconds)
        word = self._channel.recv(1000)
        if word != worker.READY:
            raise ModelError(_reason(word.decode(), self._weights))
        self._is_ready = True

    def connect(self) -> socket.socket:
        """Return a new connection. Raises OSError."""
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
        if self._is_ours:  # and not just closed: a forked child would hold it open
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        link.close()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._channel.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def leave_to_parent(self) -> None:
        """Let go of it, in a forked child: it ends with the parent."""
        self._is_ours = False
        self._channel.close()
        self._process.returncode = 0  # nothing to wait for


def _private_folder() -> str:
    folder = tempfile.mkdtemp(prefix="fibonacci-")
    if len(os.fsencode(f"{folder}/{SOCKET}")) <= LONGEST_SOCKET:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="fibonacci-", dir="/tmp")


def _reason(said: str, weights: Path) -> str:
    if said:
        mend = " On Debian: apt-get install libgomp1" if "libgomp" in said else ""
        return f"llamacpp: llama.cpp can't be imported: {said}.{mend}"
    return (
        f"llamacpp: can't load {weights}: the file is damaged, or of a kind that this version of "
        "llama.cpp does not know, or too large for the memory"
    )
