"""Pieces of commands that several operations have in common."""

from fibonacci.plugin import KEEP, Keep
from fibonacci_redis.layout import Place, named
from fibonacci_redis.wire import Request, transaction


def expiry(ttl_ms: int | Keep | None) -> tuple[bytes, ...]:
    """Return the arguments of SET for an expiry."""
    if ttl_ms is None:
        return ()
    return (b"KEEPTTL",) if ttl_ms is KEEP else (b"PX", b"%d" % ttl_ms)


def removal(where: Place, names: list[bytes]) -> Request:
    """Return what removes records and their index entries in one atomic step."""
    return transaction(
        where.slot, (b"UNLINK", *named(where, names)), (b"ZREM", where.index, *names)
    )
