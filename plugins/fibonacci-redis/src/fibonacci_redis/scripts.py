"""The Lua scripts: each is one atomic step, and accesses only the keys passed to it."""

from collections.abc import Awaitable, Callable
from hashlib import sha1
from typing import Any, Final, NamedTuple

from fibonacci_redis.protocol import ReplyError, Request, pack

INDEX_SLACK_MS: Final = 500
"""Milliseconds that an index outlives its records: outside of a transaction its expiry is set
slightly before theirs, and earlier still if a TCP segment is lost and sent again. Nothing ever
shortens it, so no two writes can leave a record that outlives its index."""


class Script(NamedTuple):
    """A script; called by its digest, and sent in full if the server does not know it yet."""

    source: bytes
    digest: bytes
    writes: bool

    async def call(
        self,
        execute: Callable[[Request, float], Awaitable[list[Any]]],
        slot: int,
        keys: list[bytes],
        *arguments: bytes,
        deadline: float,
    ) -> Any:
        """Call the script through ``execute`` and return its reply."""
        try:
            [reply] = await execute(self.request(slot, keys, *arguments), deadline)
        except ReplyError:  # NOSCRIPT: the server has done nothing
            request = self.request(slot, keys, *arguments, in_full=True)
            [reply] = await execute(request, deadline)
        return reply

    def request(
        self, slot: int, keys: list[bytes], *arguments: bytes, in_full: bool = False
    ) -> Request:
        """Return the call as a request."""
        return Request(slot, self.pack(keys, *arguments, in_full=in_full), 1, self.writes)

    def pack(self, keys: list[bytes], *arguments: bytes, in_full: bool) -> bytes:
        """Return the call as a packed command."""
        head = (b"EVAL", self.source) if in_full else (b"EVALSHA", self.digest)
        return pack((*head, b"%d" % len(keys), *keys, *arguments))


SHEBANG: Final = "#!lua"
"""Makes a replica refuse the script as it refuses a write. Without it a replica would run the
script up to its first write, and return a result read from stale data."""

ALLOW_OOM: Final = f"{SHEBANG} flags=allow-oom"
"""The same for a script that needs no memory: a server whose memory is full runs it."""


def _script(source: str, shebang: str = SHEBANG) -> Script:
    text = f"{shebang}\n{source.replace('SLACK', str(INDEX_SLACK_MS)).strip()}".encode()
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode(), writes=True)


_ADD_FUNCTION: Final = """
local function add(index, name, ttl)
    local is_new = redis.call('EXISTS', index) == 0
    redis.call('ZADD', index, 0, name)
    if not ttl then redis.call('PERSIST', index)
    elseif is_new then redis.call('PEXPIRE', index, ttl + SLACK)
    else redis.call('PEXPIRE', index, ttl + SLACK, 'GT') end
end
"""
"""Adds a name to the index, which then lives at least as long: for ``ttl`` ms, or for ever."""

ADD_TO_INDEX: Final = _script(
    _ADD_FUNCTION
    + """
add(KEYS[1], ARGV[1], ARGV[2])
return 1
"""
)
"""Add a record to the index. Keys: index. Arguments: name, milliseconds."""

CREATE: Final = _script(
    _ADD_FUNCTION
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
add(KEYS[2], ARGV[2], ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], unpack(ARGV, 3))
return 1
"""
)
"""Set a record that does not exist, and add it to the index.

Keys: record, index. Arguments: bytes, name, expiry.
"""

COMPARE_AND_SET: Final = _script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
-- First: a server whose memory is full refuses only a script that has written nothing yet.
redis.call('SET', KEYS[1], ARGV[2], unpack(ARGV, 3))
if KEYS[2] and ARGV[4] then redis.call('PEXPIRE', KEYS[2], ARGV[4] + SLACK, 'GT')
elseif KEYS[2] then redis.call('PERSIST', KEYS[2]) end
return 1
""")
"""Compare and set a record that exists, and so is in the index.

Keys: record, and the index if the expiry changes. Arguments: old bytes, new bytes, expiry.
"""

PERSIST: Final = _script(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
return 1
""",
    ALLOW_OOM,
)
"""Remove the expiry of a record and of its index. Keys: record, index."""

PRUNE: Final = _script(
    """
local removed = 0
for i = 2, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 0 then
        removed = removed + redis.call('ZREM', KEYS[1], ARGV[i - 1])
    end
end
return removed
""",
    ALLOW_OOM,
)
"""Remove the index entries whose record does not exist. Keys: index, records. Arguments: names."""
