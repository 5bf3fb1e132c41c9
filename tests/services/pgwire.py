"""As much of PostgreSQL's protocol (version 3.0) as the farm needs: trust, and simple queries."""

import socket
import struct
from typing import BinaryIO

_PROTOCOL = 3 << 16


class QueryError(Exception):
    """The server's answer was an error: `SQLSTATE: message`."""


def query(host: str, port: int, sql: str, database: str = "postgres") -> list[list[str | None]]:
    """Connect, run `sql` by itself (outside any transaction), and give its rows as text."""
    with (
        socket.create_connection((host, port), 5) as connection,
        connection.makefile("rb") as replies,
    ):
        wanted = b"user\0postgres\0database\0" + database.encode() + b"\0\0"
        connection.sendall(struct.pack("!ii", len(wanted) + 8, _PROTOCOL) + wanted)
        _until_ready(replies)
        text = sql.encode() + b"\0"
        connection.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
        rows = _until_ready(replies)
        connection.sendall(b"X\0\0\0\4")
    return rows


def _until_ready(replies: BinaryIO) -> list[list[str | None]]:
    """Read all up to ReadyForQuery; raise the error if there is one."""
    rows, error = [], None
    while True:
        head = replies.read(5)
        if len(head) < 5:
            raise error or ConnectionError("the server closed the connection")
        body = replies.read(struct.unpack("!i", head[1:])[0] - 4)
        match head[:1]:
            case b"D":
                rows.append(_row(body))
            case b"E":
                fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
                error = QueryError(f"{fields[b'C']}: {fields[b'M']}")
            case b"Z" if error:
                raise error
            case b"Z":
                return rows


def _row(body: bytes) -> list[str | None]:
    row: list[str | None] = []
    at = 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        row.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return row
