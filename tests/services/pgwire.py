"""A minimal client of PostgreSQL's protocol (version 3.0): trust, and simple queries."""

import socket
import struct
from typing import Self

_PROTOCOL = 3 << 16

Rows = list[list[str | None]]


class QueryError(Exception):
    """The server replied with an error: `SQLSTATE: message`."""


class Connection:
    """A connection as `postgres`, and a context manager."""

    def __init__(self, host: str, port: int, database: str = "postgres") -> None:
        self._connection = socket.create_connection((host, port), 5)
        self._replies = self._connection.makefile("rb")
        try:
            words = b"user\0postgres\0database\0" + database.encode() + b"\0\0"
            self._send(b"", struct.pack("!i", _PROTOCOL) + words)
            self._until_ready()
        except BaseException:
            self.close()
            raise

    def query(self, sql: str) -> Rows:
        """Run `sql` outside any transaction; return its rows as text."""
        self._send(b"Q", sql.encode() + b"\0")
        return self._until_ready()

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

    def _send(self, kind: bytes, body: bytes) -> None:
        self._connection.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _until_ready(self) -> Rows:
        """Read all up to ReadyForQuery; raise the error if there is one."""
        rows: Rows = []
        error = None
        while True:
            head = self._replies.read(5)
            if len(head) < 5:
                raise error or ConnectionError("the server closed the connection")
            body = self._replies.read(struct.unpack("!i", head[1:])[0] - 4)
            match head[:1]:
                case b"D":
                    rows.append(_row(body))
                case b"E":
                    error = _error(body)
                case b"Z" if error:
                    raise error
                case b"Z":
                    return rows


def query(host: str, port: int, sql: str, database: str = "postgres") -> Rows:
    """Run one statement on its own connection."""
    with Connection(host, port, database) as connection:
        return connection.query(sql)


def _error(body: bytes) -> QueryError:
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return QueryError(f"{fields[b'C']}: {fields[b'M']}")


def _row(body: bytes) -> list[str | None]:
    row: list[str | None] = []
    at = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        row.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return row
