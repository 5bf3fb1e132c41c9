"""redis-py's connections over TCP, to addresses that were looked up before.

redis-py would look the host's name up by itself, which no timeout bounds.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Any

from redis.connection import Connection, SSLConnection

from fibonacci.plugin.runtime import raise_for_signal, share_deadline


class TcpConnection(Connection):
    """A connection to one of a host's addresses."""

    def try_each(self, addresses: Sequence[str], deadline: float) -> None:
        """Take the addresses to connect to, in turn, and the time at which to give up."""
        self._addresses = addresses
        self._deadline = deadline

    def _connect(self) -> Any:
        # As redis-py's subclasses do; there is no other way to say where to.
        fault = OSError("the host has no address")
        for number, address in enumerate(self._addresses):
            try:
                return self._connect_to(address, len(self._addresses) - number)
            except OSError as why:
                raise_for_signal(why)
                fault = why
        raise fault

    def _connect_to(self, address: str, left: int) -> Any:
        """Connect to the address, in its share of the time: so many are left to try."""
        name = self.host
        self.host = address
        self.socket_connect_timeout = _seconds(share_deadline(self._deadline, left))
        try:
            connected = super()._connect()  # type: ignore[no-untyped-call]
        finally:
            self.host = name  # what the server's certificate has to say
        connected.settimeout(_seconds(self._deadline))  # TLS shakes hands in the time that is left
        return connected


def _seconds(deadline: float) -> float:
    return max(0.001, deadline - monotonic())  # 0 would not wait, and so be an error


class TlsConnection(SSLConnection, TcpConnection):
    """The same with TLS, on what TcpConnection has connected."""
