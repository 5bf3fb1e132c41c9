"""The Lua scripts: each is one atomic step, and touches only the keys that it is given."""

from hashlib import sha1
from typing import Final, NamedTuple

from fibonacci_redis.wire import Request, pack


class Script(NamedTuple):
    """A script, called by its digest and sent in full where the server does not know it yet."""

    source: bytes
    digest: bytes
    writes: bool

    def request(
        self, slot: int, keys: list[bytes], *arguments: bytes, full: bool = False
    ) -> Request:
        """Return the call as a request."""
        head = (b"EVAL", self.source) if full else (b"EVALSHA", self.digest)
        return Request(slot, pack((*head, b"%d" % len(keys), *keys, *arguments)), 1, self.writes)


def _script(source: str) -> Script:
    text = source.strip().encode()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode(), writes=True)


SWAP: Final = _script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
return 1
""")
"""Compare and set a record that exists, so it is listed: old bytes, new bytes, expiry."""

PRUNE: Final = _script("""
local gone = 0
for i = 2, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 0 then
        gone = gone + redis.call('ZREM', KEYS[1], ARGV[i - 1])
    end
end
return gone
""")
"""Take out of an index what has no record any more: the index, the records, and their names."""
