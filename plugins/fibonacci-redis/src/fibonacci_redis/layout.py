"""Where records live in Redis: the keys of a space, all with one hash tag, so in one slot.

::

    {prefix}v1:{{letter}:{owner}}           the index: a sorted set, score 0, whose members are keys
    {prefix}v1:{{letter}:{owner}}:{key}     a record: a string, with the expiry on the key itself

The braces around letter and owner stand in the keys literally: they are Redis Cluster's hash tag
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags). The owner is
percent-encoded, so no brace of its own ends the tag, and no two addresses share a key; the record's
key is plain UTF-8, whose bytes sort as its code points do.
"""

from functools import lru_cache
from urllib.parse import quote

import attrs
from redis.crc import key_slot

from fibonacci.plugin import Space
from fibonacci_redis.wire import pack, word


@attrs.frozen
class Place:
    """A space's keys in Redis."""

    index: bytes
    """The sorted set that lists the space."""
    head: bytes
    """What a record's key starts with."""
    slot: int
    """The hash slot of all of them."""
    persist: bytes
    """The command that keeps the index for ever."""
    expire: bytes
    """The one that has it expire, up to the milliseconds."""


# A memory uses a handful of spaces again and again; quoting and hashing take 3 µs.
@lru_cache(maxsize=4096)
def place(space: Space) -> Place:
    """Return the keys of a space."""
    tag = f"{space.scope[0]}:{quote(space.owner, safe='')}"
    index = f"{space.prefix}v1:{{{tag}}}".encode()
    persist = pack((b"PERSIST", index))
    expire = b"*4\r\n" + word(b"PEXPIRE") + word(index)
    return Place(index, index + b":", key_slot(index), persist, expire)


def named(place: Place, keys: list[bytes]) -> list[bytes]:
    """Return the records' keys in Redis."""
    head = place.head
    return [head + key for key in keys]
