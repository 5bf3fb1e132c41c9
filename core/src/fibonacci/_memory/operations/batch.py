"""get_many, set_many, delete_many: several records in few requests.

A batch is no transaction: each record in it is whole, and a fault may come between two of them.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from fibonacci._memory.addresses import UNSAID
from fibonacci._memory.expiry import TTL
from fibonacci._memory.operations.verbs import Verbs, in_sync
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin.address import Address, Scope

AT_ONCE: Final = 100
"""Records in one request, each of which has the timeout to itself."""


class Batch(Verbs):
    """Several records of one scope."""

    async def aget_many(
        self, keys: Iterable[str], scope: Scope = UNSAID, user_id: str | None = None
    ) -> dict[str, Any]:
        """Return the values of the live records among these keys, in the order asked.

        Raises what ``get`` raises.
        """
        addresses = self._find_all(keys, scope, user_id)
        values: dict[str, Any] = {}
        for start in range(0, len(addresses), AT_ONCE):
            part = addresses[start : start + AT_ONCE]
            found = await self._handle.store.read_many(part, deadline=self._deadline())
            for address, data in zip(part, found, strict=True):
                if data is not None:
                    values[address.key] = self._unpack(data, address)
        return values

    get_many = in_sync(aget_many)

    async def aset_many(
        self,
        mapping: Mapping[str, Any],
        scope: Scope = UNSAID,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Literal[True]:
        """Store the values of several keys; all are checked before the first is written.

        Raises what ``set`` raises; after a StorageError, some may be written and some not.
        """
        if not isinstance(mapping, Mapping):
            raise InvalidArgumentError(
                f"mapping must be a dict of values by key, not {type(mapping).__name__}"
            )
        self._place(scope, user_id)
        ttl_ms = self._ttl_ms(ttl)
        items = []
        for key, value in mapping.items():
            address = self._find(key, scope, user_id)
            items.append((address, self._pack(value, address)))
        for start in range(0, len(items), AT_ONCE):
            part = items[start : start + AT_ONCE]
            await self._handle.store.write_many(part, ttl_ms, deadline=self._deadline())
        return True

    set_many = in_sync(aset_many)

    async def adelete_many(
        self, keys: Iterable[str], scope: Scope = UNSAID, user_id: str | None = None
    ) -> int:
        """Delete the records of these keys; return how many live ones there were.

        Raises what ``delete`` raises.
        """
        addresses = self._find_all(keys, scope, user_id)
        removed = 0
        for start in range(0, len(addresses), AT_ONCE):
            part = addresses[start : start + AT_ONCE]
            removed += await self._handle.store.remove_many(part, deadline=self._deadline())
        return removed

    delete_many = in_sync(adelete_many)

    def _find_all(self, keys: Any, scope: Scope, user_id: str | None) -> list[Address]:
        """The addresses of the keys, each once, in the order given."""
        if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
            raise InvalidArgumentError(
                f"keys must be a list of keys, not {type(keys).__name__}: "
                f"for one key there is the verb for one"
            )
        self._place(scope, user_id)
        return list(dict.fromkeys(self._find(key, scope, user_id) for key in keys))
