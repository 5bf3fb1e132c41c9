"""ttl, touch: how long a record has to live."""

import math

from fibonacci._memory.addresses import UNSAID
from fibonacci._memory.expiry import TTL, milliseconds
from fibonacci._memory.operations.verbs import Verbs, in_sync
from fibonacci.plugin.address import Scope
from fibonacci.plugin.storage import ABSENT


class Life(Verbs):
    """The expiry of one record."""

    async def attl(
        self, key: str, scope: Scope = UNSAID, user_id: str | None = None
    ) -> float | None:
        """Return the seconds until the record expires: ``inf`` if it never does, None if absent.

        Raises InvalidKeyError, ScopeError or StorageError.
        """
        address = self._find(key, scope, user_id)
        left = await self._handle.store.remaining_ttl_ms(address, deadline=self._deadline())
        if left is ABSENT:
            return None
        return math.inf if left is None else left / 1000

    ttl = in_sync(attl)

    async def atouch(
        self, key: str, ttl: TTL, scope: Scope = UNSAID, user_id: str | None = None
    ) -> bool:
        """Give a live record a new expiry and leave its value; say whether there was one.

        ``ttl`` is in seconds, or NO_EXPIRY. Raises InvalidArgumentError, InvalidKeyError,
        ScopeError or StorageError.
        """
        address = self._find(key, scope, user_id)
        ttl_ms = milliseconds(ttl)
        touched: bool = await self._handle.store.touch(address, ttl_ms, deadline=self._deadline())
        return touched

    touch = in_sync(atouch)
