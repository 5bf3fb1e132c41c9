"""redis-py's connections over TCP, to addresses that were looked up before.

redis-py would look the host's name up by itself, which no timeout bounds.
"""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from redis.connection import Connection

from fibonacci.plugin.runtime import raise_for_signal, share_deadline
from fibonacci_redis.tls import context_for


class TcpConnection(Connection):
    """A connection to one of a host's addresses, with TLS or without.

    redis-py's class for TLS is another, whose context an old version lets nobody choose.
    """

    def try_each(
        self, addresses: Sequence[str], deadline: float, tls: Mapping[str, Any] | None
    ) -> None:
        """Take the addresses to connect to, in turn, when to give up, and the options of TLS."""
        self._addresses = addresses
        self._deadline = deadline
        self._tls = tls

    def _connect(self) -> Any:
        connected = self._connected()
        if self._tls is None:
            return connected
        try:
            return context_for(self._tls).wrap_socket(connected, server_hostname=self.host)
        except BaseException:
            connected.close()
            raise

    def _connected(self) -> Any:
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
