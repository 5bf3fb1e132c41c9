"""llama.cpp's server: a process per file of weights, which ends with this process.

Not in this process: llama.cpp aborts the process on some errors, xllamacpp holds the interpreter's
lock while it loads, and a child that is forked beside its threads crashes.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from threading import RLock
from typing import Final

from fibonacci.errors import ModelError
from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    SharedObjects,
    SingleFlight,
    TaskWaiter,
    run_in_thread,
    seconds_left,
)
from fibonacci_llamacpp import worker

SOCKET: Final = "llama.sock"
"""llama.cpp recognizes a socket by this extension."""
MAX_SOCKET_PATH: Final = 100
"""Bytes in a socket's path, a little under what systems allow (104 on macOS, 108 on Linux)."""


class ModelServer:
    """The server for one file of weights; its process starts at the first request."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._reset()

    def _reset(self) -> None:
        self._lock = RLock()
        self._load_flight: SingleFlight[ServerProcess] = SingleFlight(TaskWaiter)
        self._process: ServerProcess | None = None
        self._finalizer: weakref.finalize[[], ModelServer] | None = None

    @property
    def is_ready(self) -> bool:
        """Whether :meth:`process` returns at once."""
        process = self._process  # once: another thread may be replacing it
        return process is not None and process.is_ready and process.is_running

    def process(self, deadline: float | None) -> "ServerProcess":
        """Return the process, with the model loaded; start it if it does not run.

        Raises ModelError, and DeadlineExceeded at the deadline; loading then continues.
        """
        if not self._lock.acquire(timeout=seconds_left(deadline) or -1):
            raise DeadlineExceeded
        try:
            process = self._process
            if process is None or not process.is_running:
                process = self._start()
            process.wait(seconds_left(deadline))
        except ModelError:
            self._stop()
            raise
        finally:
            self._lock.release()
        return process

    async def aprocess(self, deadline: float | None) -> "ServerProcess":
        """Return the process without blocking the event loop while the model is loaded."""
        if not self.is_ready:
            load = partial(run_in_thread, partial(self.process, deadline))
            await self._load_flight.do(load, deadline=inf if deadline is None else deadline)
        return self.process(deadline)

    def _start(self) -> "ServerProcess":
        self._stop()
        self._process = ServerProcess(self._weights)
        self._finalizer = weakref.finalize(self, self._process.stop)
        return self._process

    def _stop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None

    def reset_after_fork(self) -> None:
        """Start with no process in a forked child; the running one stays the parent's."""
        if self._process is not None and self._finalizer is not None:
            self._finalizer.detach()
            self._process.leave_to_parent()
        self._reset()


def shared_model_server(weights: Path) -> ModelServer:
    """Return this process's server for the file."""
    return _servers.get_or_create(weights, lambda: ModelServer(weights))


_servers: Final = SharedObjects[ModelServer]()


class ServerProcess:
    """A worker process with one model, loading or loaded, and the connections to it."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._connections: set[socket.socket] = set()
        self._folder = _create_private_folder()
        self._address = f"{self._folder}/{SOCKET}"
        self._is_ready = False
        self._is_ours = True
        self._channel, worker_channel = socket.socketpair()
        with worker_channel:
            self._process = self._start(worker_channel.fileno())

    def _start(self, channel: int) -> subprocess.Popen[bytes]:
        # -P: the worker's folder has modules of ours, which must not be importable as top-level.
        command = [sys.executable, "-P", worker.__file__]
        try:
            return subprocess.Popen(  # noqa: S603 - our own program
                [*command, str(self._weights), self._address, str(worker.CONTEXT_SIZE)],
                stdin=channel,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C interrupts the program, not its worker
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
        """Whether the model is loaded."""
        return self._is_ready

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def wait(self, timeout: float | None) -> None:
        """Wait until the model is loaded. Raises TimeoutError or ModelError."""
        if self._is_ready:
            return
        self._channel.settimeout(timeout)
        message = self._channel.recv(1000)
        if message != worker.READY:
            raise ModelError(_load_error(message.decode(), self._weights))
        self._is_ready = True

    def connect(self) -> socket.socket:
        """Return a new connection. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(self._address)
        except OSError:
            connection.close()
            raise
        self._connections.add(connection)
        return connection

    def disconnect(self, connection: socket.socket) -> None:
        """Close a connection; llama.cpp ends its generation at the next token."""
        self._connections.discard(connection)
        if self._is_ours:  # close() would not do: a forked child keeps a copy open
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._channel.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def leave_to_parent(self) -> None:
        """Release it in a forked child: the process ends with the parent."""
        self._is_ours = False
        self._channel.close()
        self._process.returncode = 0  # nothing to wait for


def _create_private_folder() -> str:
    folder = tempfile.mkdtemp(prefix="fibonacci-")
    if len(os.fsencode(f"{folder}/{SOCKET}")) <= MAX_SOCKET_PATH:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="fibonacci-", dir="/tmp")


def _load_error(message: str, weights: Path) -> str:
    if message:
        hint = " On Debian: apt-get install libgomp1" if "libgomp" in message else ""
        return f"llamacpp: llama.cpp can't be imported: {message}.{hint}"
    return (
        f"llamacpp: can't load {weights}: the file is damaged, of a kind that this version of "
        "llama.cpp does not support, or too large for the available memory"
    )
