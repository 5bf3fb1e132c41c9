"""set, get, delete, exists and clear."""

from time import monotonic
from typing import Any, Literal

from fibonacci._memory.addresses import DEFAULT_SCOPE
from fibonacci._memory.expiry import TTL
from fibonacci._memory.operations.base import BaseOperations
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Scope


class BasicOperations(BaseOperations):
    """Operations on single records, and on whole scopes."""

    def set(
        self,
        key: str,
        value: Any,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Literal[True]:
        """Store a value, and give the record a new expiry.

        Args:
            key: the record's name in its scope.
            value: anything that strict JSON can represent; read back equal, tuples as lists.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            ttl: seconds to live; ``default_ttl`` if None, for ever with NO_EXPIRY.

        Raises InvalidKeyError, ScopeError, SerializationError, InvalidArgumentError,
        EncryptionError or StorageError; the old value stays if it does.
        """
        return run_sync(self._sync_view.aset(key, value, scope, user_id, ttl))

    async def aset(
        self,
        key: str,
        value: Any,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Literal[True]:
        """Store a value, and give the record a new expiry; the async form of ``set``."""
        address = self._resolve_address(key, scope, user_id)
        data = self._serialize(value, address)
        ttl_ms = self._ttl_ms(ttl)
        await self._handle.store.write(address, data, ttl_ms, deadline=monotonic() + self._timeout)
        return True

    def get(
        self,
        key: str,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        default: Any = None,
    ) -> Any:
        """Return the value, or ``default`` if there is no live record.

        The value is a copy, which the caller may change.

        Args:
            key: the record's name in its scope.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            default: what to return if there is no live record.

        Raises InvalidKeyError, ScopeError, StorageError or DecryptionError: an error is never
        returned as ``default``.
        """
        return run_sync(self._sync_view.aget(key, scope, user_id, default))

    async def aget(
        self,
        key: str,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        default: Any = None,
    ) -> Any:
        """Return the value, or ``default`` if there is none; the async form of ``get``."""
        address = self._resolve_address(key, scope, user_id)
        data = await self._handle.store.read(address, deadline=monotonic() + self._timeout)
        return default if data is None else self._deserialize(data, address)

    def delete(self, key: str, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None) -> bool:
        """Delete a record; return whether there was a live one.

        Args:
            key: the record's name in its scope.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises InvalidKeyError, ScopeError or StorageError.
        """
        return run_sync(self._sync_view.adelete(key, scope, user_id))

    async def adelete(
        self, key: str, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> bool:
        """Delete a record; the async form of ``delete``."""
        address = self._resolve_address(key, scope, user_id)
        removed: bool = await self._handle.store.remove(address, deadline=self._deadline())
        return removed

    def exists(self, key: str, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None) -> bool:
        """Return whether there is a live record.

        Args:
            key: the record's name in its scope.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises InvalidKeyError, ScopeError or StorageError.
        """
        return run_sync(self._sync_view.aexists(key, scope, user_id))

    async def aexists(
        self, key: str, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> bool:
        """Return whether there is a live record; the async form of ``exists``."""
        address = self._resolve_address(key, scope, user_id)
        found: bool = await self._handle.store.exists(address, deadline=self._deadline())
        return found

    def clear(self, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None) -> Literal[True]:
        """Delete all records of one scope: this workflow's, this user's, this organization's.

        Records that others write meanwhile may stay. Each request has the full timeout.

        Args:
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises ScopeError or StorageError.
        """
        return run_sync(self._sync_view.aclear(scope, user_id))

    async def aclear(
        self, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> Literal[True]:
        """Delete all records of one scope; the async form of ``clear``."""
        space = self._resolve_whole_space(scope, user_id)
        cursor: str | None = await self._handle.store.clear(space, deadline=self._deadline())
        while cursor is not None:
            cursor = await self._handle.store.clear(space, cursor=cursor, deadline=self._deadline())
        return True
