"""The keys of a space in Redis: all have one hash tag, and so are in one hash slot.

::

    {prefix}v1:{{letter}:{owner}}           the index: a sorted set, score 0, whose members are keys
    {prefix}v1:{{letter}:{owner}}:{key}     a record: a string, with the expiry on the key itself

The braces around letter and owner are literal: they are Redis Cluster's hash tag
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags). The owner is
percent-encoded, so it contains no brace that would end the tag, and no two addresses share a key.
The record's key is UTF-8, whose bytes sort in the order of the code points.
"""

from functools import lru_cache
from urllib.parse import quote

import attrs
from redis.crc import key_slot

from fibonacci.plugin import Space
from fibonacci_redis.protocol import bulk_string, pack


@attrs.frozen
class SpaceKeys:
    """The keys of a space in Redis, and commands for its index that are packed once."""

    index: bytes
    """The sorted set that lists the space's records."""
    record_prefix: bytes
    """The prefix of each record's key."""
    slot: int
    """The hash slot of all of them."""
    persist_command: bytes
    """PERSIST for the index."""
    expire_command: bytes
    """PEXPIRE for the index, up to its milliseconds."""

    def record_keys(self, names: list[bytes]) -> list[bytes]:
        """Return the keys of these records in Redis."""
        prefix = self.record_prefix
        return [prefix + name for name in names]


# A memory uses a few spaces over and over; quoting and hashing take 3 µs.
@lru_cache(maxsize=4096)
def space_keys(space: Space) -> SpaceKeys:
    """Return the keys of a space."""
    tag = f"{space.scope[0]}:{quote(space.owner, safe='')}"
    index = f"{space.prefix}v1:{{{tag}}}".encode()
    persist = pack((b"PERSIST", index))
    expire = b"*4\r\n" + bulk_string(b"PEXPIRE") + bulk_string(index)
    return SpaceKeys(index, index + b":", key_slot(index), persist, expire)
