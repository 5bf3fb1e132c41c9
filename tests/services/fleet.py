"""Several servers that are one service."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

from services.server import Server, until


class Fleet(ABC):
    """Servers that start and stop together; as a context manager they stop at the end."""

    def __init__(self, url: str, servers: Sequence[Server]) -> None:
        self.url = url
        self._servers = servers

    @abstractmethod
    def is_ready(self) -> bool:
        """Return whether they have found each other and can fail over."""

    def start(self) -> Self:
        """Start all, and return when they are ready."""
        for server in self._servers:
            server.start()  # in turn: a replica that comes too early tries again after a second
        self.wait()
        return self

    def wait(self) -> None:
        """Return when they are ready, also after a failover."""
        self.until(self.is_ready)

    def stop(self) -> None:
        """Stop all permanently."""
        for server in self._servers:
            server.kill()  # a primary's orderly end would start a failover
            server.stop()

    def until(self, ready: Callable[[], bool]) -> None:
        """Return when `ready` is true; raise if that takes too long."""
        alive = next(server for server in self._servers if server.alive)
        until(ready, alive._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
