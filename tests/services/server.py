"""What every server of the farm can do."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from services import ports
from services.process import Process

from fibonacci.testing.network.clients import clients

_DEADLINE = 120.0  # seconds until a server must be ready: the machine may be busy


class Server(ABC):
    """A server on loopback. As a context manager it starts, serves, and stops at the end."""

    host = ports.LOOPBACK

    def __init__(self, process: Process, port: int, url: str) -> None:
        self.port = port
        self.url = url
        self._process = process

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether it is ready to serve."""

    @property
    def pid(self) -> int:
        """Return the pid of the server's first process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.alive

    def start(self) -> Self:
        """Start or restart it, and return when it is ready."""
        self._process.start()
        until(self.is_ready, self._process)
        return self

    def kill(self) -> None:
        """Send SIGKILL. The port stays reserved, and refuses connections until `start`."""
        self._process.kill()
        self._parted()

    def pause(self) -> None:
        """Send SIGSTOP: the kernel still accepts connections, and nothing replies."""
        self._process.pause()

    def resume(self) -> None:
        """Send SIGCONT: requests that were sent meanwhile get their replies now."""
        self._process.resume()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause it during the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def restart(self) -> None:
        """Stop it in order, and start it on the same port and folder."""
        self._process.stop()
        self._parted()
        self.start()

    def stop(self) -> None:
        """Stop it permanently, and release its port."""
        self._process.stop()
        ports.release(self.port)

    def __enter__(self) -> Self:
        return self if self.alive else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _parted(self) -> None:
        """Wait until all clients can know that the connection ended."""
        deadline = time.monotonic() + _DEADLINE
        while unaware := clients(self.port):
            assert time.monotonic() < deadline, f"{unaware} think that it is there"
            time.sleep(0.001)


def until(ready: Callable[[], bool], process: Process) -> None:
    """Poll until `ready`; raise with the end of the log if the process ends or takes too long."""
    deadline = time.monotonic() + _DEADLINE
    while not ready():
        if not process.alive or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{' '.join(process.command)} is not ready:\n{process.log()}")
        time.sleep(0.005)
