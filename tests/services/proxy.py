"""A proxy in front of a server of the farm: see `fibonacci.testing.network`."""

from typing import Protocol

from fibonacci.testing import network


class Target(Protocol):
    """A server that a proxy can be put in front of."""

    host: str
    port: int
    url: str


class Proxy(network.Proxy):
    """Its url is the server's, with its own port."""

    def __init__(self, server: Target) -> None:
        super().__init__(server.host, server.port)
        self.url = server.url.replace(f"{server.host}:{server.port}", f"{self.host}:{self.port}", 1)
