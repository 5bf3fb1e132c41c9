"""Pieces of commands that several operations have in common.

The index of a space lives as long as its records do: for ever where one of them does, or else as
long as the one that expires last. Each write sees to that in the same step.
"""

from typing import Final

from fibonacci.plugin import KEEP_TTL, KeepTTL
from fibonacci_redis.layout import Place, named
from fibonacci_redis.scripts import LISTED, SLACK_MS
from fibonacci_redis.wire import SET, Request, pack, transaction

XX: Final = b"\r\n$2\r\nXX\r\n"


def expiry(ttl_ms: int | KeepTTL | None) -> tuple[bytes, ...]:
    """Return the arguments of SET for an expiry."""
    if ttl_ms is None:
        return ()
    return (b"KEEPTTL",) if ttl_ms is KEEP_TTL else (b"PX", b"%d" % ttl_ms)


def life(where: Place, ttl_ms: int | None) -> bytes:
    """Return what has an index live as long as a record that is in it already."""
    if ttl_ms is None:
        return where.persist
    # GT takes an index without an expiry as one that lives for ever, and leaves it so.
    longer = b"%d" % (ttl_ms + SLACK_MS)
    return b"%b$%d\r\n%b\r\n$2\r\nGT\r\n" % (where.expire, len(longer), longer)


def replacement(where: Place, key: bytes, data: bytes, ttl_ms: int | None) -> bytes:
    """Return what writes a record if it exists, after what its index needs: the busiest write.

    The index comes first: if only that arrives, nothing is lost.
    """
    if ttl_ms is None:
        words, options = 4, XX
    else:
        milliseconds = b"%d" % ttl_ms
        words, options = 6, b"%b$2\r\nPX\r\n$%d\r\n%b\r\n" % (XX, len(milliseconds), milliseconds)
    head = SET % (life(where, ttl_ms), words, len(key), key, len(data))
    return b"".join((head, data, options))


def listed(where: Place, name: bytes, ttl_ms: int | None) -> tuple[bytes, ...]:
    """Return what lists a record, and has the index live as long; for a transaction."""
    if ttl_ms is None:
        return where.persist, pack((b"ZADD", where.index, b"0", name))
    # In full: in a transaction nobody could call it again.
    return (LISTED.packed([where.index], name, b"%d" % ttl_ms, full=True),)


def removal(where: Place, names: list[bytes]) -> Request:
    """Return what removes records and their index entries in one atomic step."""
    return transaction(
        where.slot,
        pack((b"UNLINK", *named(where, names))),
        pack((b"ZREM", where.index, *names)),
    )
