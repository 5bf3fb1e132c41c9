"""Whether a server is a primary, by its own word: a replica may lag behind, so none is read."""

from typing import Any, Final

from fibonacci_redis.faults import FULL, NOT_EVER, NOT_NOW
from fibonacci_redis.wire import ReplyError, Request, pack

HELLO: Final = pack((b"HELLO",))
"""Has a server tell its role. No ACL rule can forbid it: clients send it to log in."""

TRUSTED_FOR: Final = 0.1
"""Seconds for which the word of a server holds. A read that comes later asks for it again, in the
same round trip: where a primary is made a replica, its connections may stay open. Shorter times
would cost each read, where few are made in a second, some microseconds more."""


def greeted(request: Request) -> Request:
    """Return a request that asks for the role first."""
    slot, data, replies, writes, atomic = request
    return Request(slot, HELLO + data, replies + 1, writes, atomic)


def told_role(reply: Any) -> bytes | None:
    """Return the role that a reply to HELLO tells; None where the server does not say."""
    if type(reply) is not list:
        return None
    told = zip(reply[::2], reply[1::2], strict=False)
    return next((value for name, value in told if name == b"role"), None)


def is_replica(reply: Any) -> bool:
    """Say whether a reply to HELLO is a replica's."""
    return told_role(reply) in (b"replica", b"slave")


def refuses_hello(error: ReplyError) -> bool:
    """Say whether an error is about the command: a proxy may not know it, a server had it renamed.

    Others are about the connection, such as one too many.
    """
    if error.code in (*NOT_EVER, *NOT_NOW) and error.code != "NOPERM":
        return False
    return not any(words in str(error) for words in FULL)


def demoted() -> ReplyError:
    """Return what a replica answers to a write, as the answer to a read."""
    return ReplyError("READONLY it is a replica")
