"""What a server says of its keys: whether it may have removed some by itself, and how many it has.

What lists a space may be among the removed ones
(https://redis.io/docs/latest/develop/reference/eviction/).
"""

import logging
from typing import Any, Final

import attrs

from fibonacci_redis.endpoint import Endpoint
from fibonacci_redis.wire import Request, pack

ASK_KEYSPACE: Final = Request(0, pack((b"INFO", b"memory", b"stats", b"keyspace")), 1, writes=False)

KEPT_FOR: Final = 1.0
"""Seconds for which a listing goes by what a server said before."""

FEW: Final = 10_000
"""Keys that are looked through in a few milliseconds."""

_log: Final = logging.getLogger("fibonacci_redis")
_warned: Final[set[str]] = set()
"""The servers that were told of."""


@attrs.frozen
class Keyspace:
    """What a server said."""

    keeps_all: bool
    """Whether it has removed nothing by itself since it started."""
    is_small: bool


UNTOLD: Final = Keyspace(keeps_all=False, is_small=False)
"""Of a server that does not say."""


def read_keyspace(reply: Any, endpoint: Endpoint) -> Keyspace:
    """Return what a reply to INFO says; an error says nothing. Warns of a policy, once a server."""
    if type(reply) is not bytes:
        return UNTOLD
    lines = [line.partition(":") for line in reply.decode(errors="replace").splitlines()]
    told = {name: value for name, _, value in lines}
    policy, is_bounded = told.get("maxmemory_policy", ""), told.get("maxmemory") != "0"
    if policy.startswith("allkeys-") and is_bounded:
        _warn(str(endpoint), policy)
    databases = [value for name, value in told.items() if name.startswith("db")]
    return Keyspace(
        keeps_all=told.get("evicted_keys") == "0",
        is_small=sum(map(_count, databases)) <= FEW,
    )


def _count(database: str) -> int:
    """How many keys there are, by what is said of a database: ``keys=3,expires=1``."""
    number = database.partition("keys=")[2].partition(",")[0]
    return int(number) if number.isdigit() else FEW + 1


def _warn(server: str, policy: str) -> None:
    if server not in _warned:
        _warned.add(server)
        _log.warning(
            "%s removes records by itself when its memory is full (maxmemory-policy %s), the "
            "newest as well as old ones: set maxmemory-policy noeviction, if they are to be kept",
            server,
            policy,
        )
