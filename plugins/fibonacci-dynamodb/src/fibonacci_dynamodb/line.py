"""A connection whose every wait ends by a deadline, however slowly the other side sends."""

import io
import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from fibonacci.plugin.runtime import seconds_left

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class LineError(OSError):
    """The connection did not do what it is there for; the text says what, and quotes nobody."""


class Socket(socket.socket):
    """A socket that is closed in silence when nobody holds it.

    A signal in mid-call may part it from whoever would have closed it, even while it is made; so
    it is closed as the socket module's base class does, which needs no attributes. A socket of
    gevent has no such base: it holds one, which closes itself.
    """

    def __del__(self) -> None:
        with suppress(AttributeError):
            super(socket.socket, self).close()


class SecureSocket(ssl.SSLSocket):
    """The same, in TLS; for ``SSLContext.sslsocket_class``."""

    def __del__(self) -> None:
        with suppress(AttributeError):
            super(socket.socket, self).close()


class Line:
    """A connected socket, with TLS or without; ``HTTPResponse`` reads from it.

    A socket's own timeout is for one piece: of a reply that trickles in, each would have it anew.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.deadline = 0.0
        """When what is waited for must be there, as ``time.monotonic`` tells."""
        self.idle_since = 0.0
        """When the last exchange on it ended, by the same clock."""

    def sendall(self, data: memoryview) -> None:
        """Send it all. An OSError of the socket, or a deadline, says that the last byte was not.

        A memoryview shows nothing of what is in it, such as a password, in a traceback.
        """
        left = data
        while left:
            self._sock.settimeout(seconds_left(self.deadline))
            left = left[self._sock.send(left) :]

    def recv_into(self, buffer: "WriteableBuffer") -> int:
        """Receive what is there, or wait for it."""
        self._sock.settimeout(seconds_left(self.deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file to read one reply from."""
        return io.BufferedReader(_Incoming(self), 65_536)

    def is_reusable(self) -> bool:
        """Say whether it is open, and nothing came since the last reply."""
        if self._sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def secure(self, context: ssl.SSLContext, name: str) -> None:
        """Go on in TLS."""
        self._sock.settimeout(seconds_left(self.deadline))
        self._sock = context.wrap_socket(self._sock, server_hostname=name)

    def close(self) -> None:
        """End the connection."""
        self._sock.close()


class _Incoming(io.RawIOBase):
    """What comes in, as a file."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        return self._line.recv_into(buffer)
