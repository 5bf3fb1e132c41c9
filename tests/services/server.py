"""What every server of the farm can do."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from services import ports
from services.process import Process

_DEADLINE = 120.0  # seconds until a server must answer: the machine may be busy


class Server(ABC):
    """A server on loopback. As a context manager it starts, answers, and stops at the end."""

    host = ports.LOOPBACK

    def __init__(self, process: Process, port: int, url: str) -> None:
        self.port = port
        self.url = url
        self._process = process

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is ready to serve."""

    @property
    def pid(self) -> int:
        """Of the server's first process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.alive

    def start(self) -> Self:
        """Start it, or start it again, and return once it answers."""
        self._process.start()
        until(self.answers, self._process)
        return self

    def kill(self) -> None:
        """SIGKILL. The port stays its own, and refuses connections until `start`."""
        self._process.kill()
        self._parted()

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, and nobody answers."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT: what was asked meanwhile is answered now."""
        self._process.resume()

    def restart(self) -> None:
        """Stop it in an orderly way, and start it on the same port and folder."""
        self._process.stop()
        self._parted()
        self.start()

    def stop(self) -> None:
        """End it for good, and give back its port."""
        self._process.stop()
        ports.release(self.port)

    def __enter__(self) -> Self:
        return self if self.alive else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _parted(self) -> None:
        """Wait until all clients can know that they are alone."""
        deadline = time.monotonic() + _DEADLINE
        while clients := ports.clients(self.port):
            assert time.monotonic() < deadline, f"{clients} think that it is there"
            time.sleep(0.001)


def until(ready: Callable[[], bool], process: Process) -> None:
    """Ask until `ready`; raise with the end of the log if the process ends or takes too long."""
    deadline = time.monotonic() + _DEADLINE
    while not ready():
        if not process.alive or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{' '.join(process.command)} does not answer:\n{process.log()}")
        time.sleep(0.005)
