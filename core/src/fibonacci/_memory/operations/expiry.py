"""ttl and touch: how long a record has to live."""

import math

from fibonacci._memory.addresses import DEFAULT_SCOPE
from fibonacci._memory.expiry import TTL, ttl_to_ms
from fibonacci._memory.operations.base import BaseOperations
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Scope
from fibonacci.plugin.storage import ABSENT


class ExpiryOperations(BaseOperations):
    """Operations on the expiry of one record."""

    def ttl(
        self, key: str, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> float | None:
        """Return the seconds until the record expires: ``inf`` if it never does, None if absent.

        Args:
            key: the record's name in its scope.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises InvalidKeyError, ScopeError or StorageError.
        """
        return run_sync(self._sync_view.attl(key, scope, user_id))

    async def attl(
        self, key: str, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> float | None:
        """Return the seconds until the record expires; the async form of ``ttl``."""
        address = self._resolve_address(key, scope, user_id)
        remaining = await self._handle.store.remaining_ttl_ms(address, deadline=self._deadline())
        if remaining is ABSENT:
            return None
        return math.inf if remaining is None else remaining / 1000

    def touch(
        self, key: str, ttl: TTL, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> bool:
        """Give a live record a new expiry, and leave its value; return whether there was one.

        Args:
            key: the record's name in its scope.
            ttl: seconds to live from now, or NO_EXPIRY.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises InvalidArgumentError, InvalidKeyError, ScopeError or StorageError.
        """
        return run_sync(self._sync_view.atouch(key, ttl, scope, user_id))

    async def atouch(
        self, key: str, ttl: TTL, scope: Scope = DEFAULT_SCOPE, user_id: str | None = None
    ) -> bool:
        """Give a live record a new expiry, and leave its value; the async form of ``touch``."""
        address = self._resolve_address(key, scope, user_id)
        ttl_ms = ttl_to_ms(ttl)
        touched: bool = await self._handle.store.touch(address, ttl_ms, deadline=self._deadline())
        return touched
