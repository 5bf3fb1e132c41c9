"""As much of the Redis protocol (RESP2) as the farm needs to ask its servers."""

import socket
from typing import BinaryIO

Reply = bytes | int | None | list["Reply"]


class ReplyError(Exception):
    """The server's answer was an error."""


class Client:
    """One connection. Command names and arguments are text; replies are bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._replies = connection.makefile("rb")

    @classmethod
    def connect(cls, host: str, port: int, timeout: float = 2.0) -> "Client":
        return cls(socket.create_connection((host, port), timeout))

    def __call__(self, *words: str | int) -> Reply:
        encoded = [str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded)]
        self._connection.sendall(b"".join(parts))
        return _read(self._replies)

    def info(self, section: str) -> dict[str, str]:
        text = self("INFO", section)
        assert isinstance(text, bytes)
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()
        self._connection.close()


def _read(stream: BinaryIO) -> Reply:
    line = stream.readline()
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
            return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_read(stream) for _ in range(int(rest))]
    raise ConnectionError(f"not RESP2: {line!r}")
