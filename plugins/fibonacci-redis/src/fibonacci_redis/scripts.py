"""The Lua scripts: each is one atomic step, and touches only the keys that it is given."""

from hashlib import sha1
from typing import Final, NamedTuple

from fibonacci_redis.wire import Request, pack

SLACK_MS: Final = 500
"""Milliseconds that an index lives longer than its records: outside of a transaction its expiry is
set a moment before theirs, longer if a segment is lost and sent again. Nothing ever shortens it, so
no two writes can leave a record that outlives its index."""


class Script(NamedTuple):
    """A script, called by its digest and sent in full where the server does not know it yet."""

    source: bytes
    digest: bytes
    writes: bool

    def request(
        self, slot: int, keys: list[bytes], *arguments: bytes, full: bool = False
    ) -> Request:
        """Return the call as a request."""
        return Request(slot, self.packed(keys, *arguments, full=full), 1, self.writes)

    def packed(self, keys: list[bytes], *arguments: bytes, full: bool) -> bytes:
        """Return the call as a command."""
        head = (b"EVAL", self.source) if full else (b"EVALSHA", self.digest)
        return pack((*head, b"%d" % len(keys), *keys, *arguments))


SHEBANG: Final = "#!lua"
"""Has a replica refuse the script as it refuses a write. Without that, it would run there up to its
first write, and what it had found would be an answer."""

FREES: Final = f"{SHEBANG} flags=allow-oom"
"""The same for a script that takes no memory: a server that is full runs it."""


def _script(source: str, head: str = SHEBANG) -> Script:
    text = f"{head}\n{source.replace('SLACK', str(SLACK_MS)).strip()}".encode()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode(), writes=True)


LIST: Final = """
local function list(index, name, ttl)
    local fresh = redis.call('EXISTS', index) == 0
    redis.call('ZADD', index, 0, name)
    if not ttl then redis.call('PERSIST', index)
    elseif fresh then redis.call('PEXPIRE', index, ttl + SLACK)
    else redis.call('PEXPIRE', index, ttl + SLACK, 'GT') end
end
"""
"""Lists a name, and has the index live as long: for ever, or at least for its milliseconds."""

LISTED: Final = _script(
    LIST
    + """
list(KEYS[1], ARGV[1], ARGV[2])
return 1
"""
)
"""List a record: the index; its name, milliseconds."""

CREATE: Final = _script(
    LIST
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
list(KEYS[2], ARGV[2], ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], unpack(ARGV, 3))
return 1
"""
)
"""Set and list a record, unless there is one: record and index; bytes, name, expiry."""

SWAP: Final = _script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
-- First: a server that is full refuses it only to a script that has written nothing yet.
redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
if KEYS[2] and ARGV[4] then redis.call('PEXPIRE', KEYS[2], ARGV[4] + SLACK, 'GT')
elseif KEYS[2] then redis.call('PERSIST', KEYS[2]) end
return 1
""")
"""Compare and set a record that exists, so it is listed: old bytes, new bytes, expiry; the record,
and the index where the expiry changes."""

LAST: Final = _script(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
return 1
""",
    FREES,
)
"""Keep a record for ever, and its index."""

PRUNE: Final = _script(
    """
local gone = 0
for i = 2, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 0 then
        gone = gone + redis.call('ZREM', KEYS[1], ARGV[i - 1])
    end
end
return gone
""",
    FREES,
)
"""Take out of an index what has no record any more: the index, the records, and their names."""
