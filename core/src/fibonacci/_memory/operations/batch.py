"""get_many, set_many and delete_many: several records in few requests.

A batch is not a transaction: each record in it is whole, and an error may come between two of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from fibonacci._memory.addresses import DEFAULT_SCOPE
from fibonacci._memory.expiry import TTL
from fibonacci._memory.operations.base import BaseOperations
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Address, Scope

BATCH_SIZE: Final = 100
"""Records in one request; each request has the full timeout."""


class BatchOperations(BaseOperations):
    """Operations on several records of one scope."""

    def get_many(
        self, keys: Iterable[str], scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> dict[str, Any]:
        """Return the values of the live records among these keys, by key, in the order of the keys.

        Args:
            keys: an iterable of keys; duplicates count once.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises what ``get`` raises.
        """
        return run_sync(self._sync_view.aget_many(keys, scope, user_id))

    async def aget_many(
        self, keys: Iterable[str], scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> dict[str, Any]:
        """Return the values of the live records, by key; the async form of ``get_many``."""
        addresses = self._resolve_all(keys, scope, user_id)
        values: dict[str, Any] = {}
        for start in range(0, len(addresses), BATCH_SIZE):
            part = addresses[start : start + BATCH_SIZE]
            found = await self._handle.store.read_many(part, deadline=self._deadline())
            for address, data in zip(part, found, strict=True):
                if data is not None:
                    values[address.key] = self._deserialize(data, address)
        return values

    def set_many(
        self,
        mapping: Mapping[str, Any],
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Literal[True]:
        """Store the values of several keys; all are checked before the first is written.

        Args:
            mapping: the values by key.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            ttl: seconds to live; ``default_ttl`` if None, for ever with NO_EXPIRY.

        Raises what ``set`` raises; after a StorageError, some may be written and some not.
        """
        return run_sync(self._sync_view.aset_many(mapping, scope, user_id, ttl))

    async def aset_many(
        self,
        mapping: Mapping[str, Any],
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Literal[True]:
        """Store the values of several keys; the async form of ``set_many``."""
        if not isinstance(mapping, Mapping):
            raise InvalidArgumentError(
                f"mapping must be a dict of values by key, not {type(mapping).__name__}"
            )
        self._resolve_space(scope, user_id)
        ttl_ms = self._ttl_ms(ttl)
        items = []
        for key, value in mapping.items():
            address = self._resolve_address(key, scope, user_id)
            items.append((address, self._serialize(value, address)))
        for start in range(0, len(items), BATCH_SIZE):
            part = items[start : start + BATCH_SIZE]
            await self._handle.store.write_many(part, ttl_ms, deadline=self._deadline())
        return True

    def delete_many(
        self, keys: Iterable[str], scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> int:
        """Delete the records of these keys; return how many live ones there were.

        Args:
            keys: an iterable of keys; duplicates count once.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises what ``delete`` raises.
        """
        return run_sync(self._sync_view.adelete_many(keys, scope, user_id))

    async def adelete_many(
        self, keys: Iterable[str], scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> int:
        """Delete the records of these keys; the async form of ``delete_many``."""
        addresses = self._resolve_all(keys, scope, user_id)
        removed = 0
        for start in range(0, len(addresses), BATCH_SIZE):
            part = addresses[start : start + BATCH_SIZE]
            removed += await self._handle.store.remove_many(part, deadline=self._deadline())
        return removed

    def _resolve_all(self, keys: Any, scope: Scope, user_id: str | None) -> list[Address]:
        """The addresses of the keys, without duplicates, in the order of the keys."""
        if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
            raise InvalidArgumentError(
                f"keys must be a list of keys, not {type(keys).__name__}: "
                f"use the method for a single key"
            )
        self._resolve_space(scope, user_id)
        return list(dict.fromkeys(self._resolve_address(key, scope, user_id) for key in keys))
