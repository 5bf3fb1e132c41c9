"""A minimal client of the Redis protocol (RESP2)."""

import socket
import ssl
from typing import Any, Self
from urllib.parse import unquote, urlsplit

Reply = Any
"""Bytes, an int, None, or a list of these."""


class ReplyError(Exception):
    """The server replied with an error."""


class Client:
    """One connection. Commands and arguments are text, replies bytes; an error reply raises."""

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, timeout: float = 2.0
    ) -> None:
        parts = urlsplit(url)
        address = parts.hostname or "localhost", parts.port or 6379
        connection = socket.create_connection(address, timeout)
        if tls:
            connection = tls.wrap_socket(connection, server_hostname=address[0])
        self._connection = connection
        self._replies = connection.makefile("rb")
        try:
            if parts.password:
                self("AUTH", *(unquote(w) for w in (parts.username, parts.password) if w))
            if (database := parts.path.strip("/")) not in ("", "0"):
                self("SELECT", database)
        except BaseException:
            self.close()
            raise

    def __call__(self, *words: str | int) -> Reply:
        """Send a command, and return its reply."""
        self.send(*words)
        return self.receive()

    def send(self, *words: str | int) -> None:
        """Send a command without waiting for its reply."""
        self.send_many(words)

    def send_many(self, *commands: tuple[str | int, ...]) -> None:
        """Send a pipeline in one write."""
        self._connection.sendall(b"".join(_encoded(words) for words in commands))

    def receive(self) -> Reply:
        """Return the next reply."""
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                raise ReplyError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._replies.read(int(rest) + 2)[:-2]
            case b"*":
                return None if rest == b"-1" else [self.receive() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP2: {line!r}")

    def ended(self) -> bool:
        """Wait for the connection's end, of any kind."""
        try:
            return self._connection.recv(1) == b""
        except ConnectionError:
            return True

    def rest(self) -> bytes:
        """Return all bytes up to the connection's end."""
        return self._replies.read()

    def timeout(self, seconds: float) -> None:
        """Set how long to wait for a reply from here on."""
        self._connection.settimeout(seconds)

    def close(self) -> None:
        self._replies.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _encoded(words: tuple[str | int, ...]) -> bytes:
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded)
