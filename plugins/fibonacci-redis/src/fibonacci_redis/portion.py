"""Records of one space that are written in one atomic step, packed as they come.

In one pass, which takes half of what packing whole commands does: 50 µs for a hundred records.
"""

from typing import Final

from fibonacci_redis.layout import Place
from fibonacci_redis.requests import listed
from fibonacci_redis.wire import CRLF, EXEC, MULTI, Request, word

STEP: Final = 256 * 1024
"""Bytes written in one atomic step: well under a millisecond of the server's time."""


class Portion:
    """A transaction of ZADD, and of MSET, or of a SET for each record where they expire."""

    def __init__(self, where: Place, ttl_ms: int | None) -> None:
        self.where = where
        self.size = 0
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._head = where.head
        self._ttl_ms = ttl_ms
        self._set, self._end = b"", CRLF
        if ttl_ms is not None:
            self._set = b"*5\r\n$3\r\nSET\r\n"
            self._end = CRLF + word(b"PX") + word(b"%d" % ttl_ms)

    @property
    def count(self) -> int:
        """How many records are in it."""
        return len(self._names)

    def add(self, name: bytes, data: bytes) -> None:
        """Take a record in."""
        head, size = self._head, len(data)
        if not self._names:
            self._first = name
        self.size += size
        self._names.append(b"$1\r\n0\r\n$%d\r\n%b\r\n" % (len(name), name))
        before = b"%b$%d\r\n%b%b\r\n$%d\r\n" % (self._set, len(head) + len(name), head, name, size)
        # Not formatted in: that copies the value slowly, and a second time.
        self._values += (before, data, self._end)

    def request(self) -> Request:
        """Return what writes them."""
        index = (b"*%d\r\n" % (2 + 2 * self.count), word(b"ZADD"), word(self.where.index))
        if self._set:
            values, replies = b"", self.count
        else:
            values, replies = b"*%d\r\n" % (1 + 2 * self.count) + word(b"MSET"), 1
        # Lists the first, or none: all are in what comes next.
        lives = listed(self.where, self._first, self._ttl_ms)[0]
        data = b"".join([MULTI, lives, *index, *self._names, values, *self._values, EXEC])
        return Request(self.where.slot, data, 4 + replies, writes=True)
