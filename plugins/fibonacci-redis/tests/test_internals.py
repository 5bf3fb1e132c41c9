"""What we use of redis-py's internals, on the installed version."""

import socket
from typing import Any

from redis.connection import Connection as RedisPyConnection

from fibonacci_redis.endpoint import Endpoint


class SocketPairConnection(RedisPyConnection):
    """A connection of redis-py to a socket of the test."""

    def _connect(self) -> Any:
        self.own, self.peer = socket.socketpair()
        return self.own


class RecordingParser:
    """A parser that redis-py calls as it calls ours."""

    connected: Any = None

    def on_connect(self, connection: Any) -> None:
        self.connected = connection._sock

    def on_disconnect(self) -> None:
        """Nothing to do."""


def test_parser_gets_the_socket_and_nothing_is_sent() -> None:
    """redis-py calls ``_connect``, and gives ``parser_class()`` the socket as ``_sock``.

    With the arguments of an endpoint without credentials it sends nothing by itself.
    """
    parser = RecordingParser()
    arguments = Endpoint(host="localhost", port=1).connection_arguments()
    connection = SocketPairConnection(parser_class=lambda **_: parser, **arguments)
    connection.connect()
    assert parser.connected is connection.own
    connection.disconnect()
    with connection.peer as peer:
        assert peer.recv(1) == b""


def test_commands_are_packed_by_the_given_packer() -> None:
    """redis-py packs with ``command_packer``, which is not hiredis: it accepts a number."""
    arguments = Endpoint(host="localhost", port=1).connection_arguments()
    connection = RedisPyConnection(**arguments)
    packed = b"".join(connection.pack_command("SELECT", 7))
    assert packed == b"*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"
    assert connection._command_packer is arguments["command_packer"]
