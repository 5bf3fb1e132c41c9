"""set, get, delete, exists, clear."""

from time import monotonic
from typing import Any, Literal

from fibonacci._memory.addresses import UNSAID
from fibonacci._memory.expiry import TTL
from fibonacci._memory.operations.verbs import Verbs, in_sync
from fibonacci.plugin.address import Scope


class Basic(Verbs):
    """Single records, and whole spaces."""

    async def aset(
        self,
        key: str,
        value: Any,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Literal[True]:
        """Store a value, and give the record a new expiry.

        Args:
            key: the record's name in its scope.
            value: anything that strict JSON can hold; read back equal, tuples as lists.
            scope: whose record it is: workflow, user, organization or global.
            user_id: the user, for the user scope alone.
            ttl: seconds to live; ``default_ttl`` if None, for ever with NO_EXPIRY.

        Raises InvalidKeyError, ScopeError, SerializationError, InvalidArgumentError or
        StorageError; the old value stays where it does.
        """
        address = self._find(key, scope, user_id)
        data = self._pack(value, address)
        ttl_ms = self._ttl_ms(ttl)
        await self._handle.store.write(address, data, ttl_ms, deadline=monotonic() + self._timeout)
        return True

    set = in_sync(aset)

    async def aget(
        self,
        key: str,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        default: Any = None,
    ) -> Any:
        """Return the value, or ``default`` where there is no live record.

        The value is a copy of your own. Raises InvalidKeyError, ScopeError, StorageError or
        DecryptionError: a fault is never told as ``default``.
        """
        address = self._find(key, scope, user_id)
        data = await self._handle.store.read(address, deadline=monotonic() + self._timeout)
        return default if data is None else self._unpack(data, address)

    get = in_sync(aget)

    async def adelete(self, key: str, scope: Scope = UNSAID, user_id: str | None = None) -> bool:
        """Delete a record; say whether there was a live one.

        Raises InvalidKeyError, ScopeError or StorageError.
        """
        address = self._find(key, scope, user_id)
        removed: bool = await self._handle.store.remove(address, deadline=self._deadline())
        return removed

    delete = in_sync(adelete)

    async def aexists(self, key: str, scope: Scope = UNSAID, user_id: str | None = None) -> bool:
        """Say whether there is a live record.

        Raises InvalidKeyError, ScopeError or StorageError.
        """
        address = self._find(key, scope, user_id)
        found: bool = await self._handle.store.exists(address, deadline=self._deadline())
        return found

    exists = in_sync(aexists)

    async def aclear(self, scope: Scope = UNSAID, user_id: str | None = None) -> Literal[True]:
        """Delete all records of one scope: this workflow's, this user's, this organization's.

        Records that others write meanwhile may stay. Each request has the timeout to itself.
        Raises ScopeError or StorageError.
        """
        space = self._whole(scope, user_id)
        cursor: str | None = await self._handle.store.clear(space, deadline=self._deadline())
        while cursor is not None:
            cursor = await self._handle.store.clear(space, cursor=cursor, deadline=self._deadline())
        return True

    clear = in_sync(aclear)
