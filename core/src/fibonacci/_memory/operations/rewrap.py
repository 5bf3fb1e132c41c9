"""rewrap: seals records again with the first key, in place, while others go on using them."""

from collections.abc import Callable
from typing import Any

from fibonacci._memory.addresses import DEFAULT_SCOPE
from fibonacci._memory.operations.base import BaseOperations
from fibonacci._memory.operations.batch import BATCH_SIZE
from fibonacci._memory.serializers import EncryptedSerializer, PlainSerializer
from fibonacci.errors import EncryptionError, InvalidArgumentError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Address, Scope, Space
from fibonacci.plugin.storage import KEEP_TTL, Page

Progress = Callable[[str, int], object]
"""Gets the last key that is done, and how many records were examined so far."""


class RewrapOperations(BaseOperations):
    """The rotation of encryption keys, one scope at a time."""

    def rewrap(
        self,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        *,
        start_after: str | None = None,
        progress: Callable[[str, int], object] | None = None,
    ) -> int:
        """Seal the records of one scope with the first key; return how many were changed.

        Values and expiries stay as they are, and others may read and write meanwhile: a record
        is replaced only if nobody else has just done that, and is examined again otherwise. When
        it returns, each record that was there all the time is as ``set`` would write it now:
        sealed with the first key of ``encryption_key``; plain records, which only
        ``plaintext_reads="allow"`` can read, are sealed too. After an error, call it again:
        records that are sealed with the first key already are left as they are.

        Args:
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            start_after: continue after this key, in the order of ``list_keys``.
            progress: called now and then with the last key that is done, and with how many
                records were examined so far.

        Each request has the full timeout. Raises EncryptionError if this memory has no
        encryption, DecryptionError or CorruptRecordError at a record that does not open (it and
        those after it stay as they are; to continue after it, pass its key as ``start_after``),
        ScopeError, InvalidKeyError, StorageError.
        """
        return run_sync(
            self._sync_view.arewrap(scope, user_id, start_after=start_after, progress=progress)
        )

    async def arewrap(
        self,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        *,
        start_after: str | None = None,
        progress: Callable[[str, int], object] | None = None,
    ) -> int:
        """Seal the records of one scope with the first key; the async form of ``rewrap``."""
        serializer = self._encrypted_serializer()
        _check_progress(progress)
        space = self._resolve_whole_space(scope, user_id)
        if start_after is not None:
            start_after = self._resolve_address(start_after, scope, user_id).key
        return await self._rewrap_space(space, serializer, start_after, progress)

    async def _rewrap_space(
        self,
        space: Space,
        serializer: EncryptedSerializer,
        start_after: str | None,
        progress: Progress | None,
    ) -> int:
        page, cursor, seen, changed = Page((), ""), None, 0, 0
        while page.cursor is not None:
            page = await self._handle.store.scan(space, cursor=cursor, deadline=self._deadline())
            cursor = page.cursor
            keys = [key for key in page.keys if start_after is None or key > start_after]
            addresses = [Address(space, key) for key in keys]
            for start in range(0, len(addresses), BATCH_SIZE):
                part = addresses[start : start + BATCH_SIZE]
                changed += await self._rewrap_all(part, serializer)
                seen += len(part)
                if progress is not None:
                    progress(part[-1].key, seen)
        return changed

    def _encrypted_serializer(self) -> EncryptedSerializer:
        serializer = self._context.serializer
        if isinstance(serializer, PlainSerializer):
            raise EncryptionError(
                "this memory has no encryption, so there is nothing to rewrap: set "
                "encrypt_values=True and encryption_key in its MemoryConfig"
            )
        return serializer

    async def _rewrap_all(self, addresses: list[Address], serializer: EncryptedSerializer) -> int:
        found = await self._handle.store.read_many(addresses, deadline=self._deadline())
        changed = 0
        for address, data in zip(addresses, found, strict=True):
            changed += await self._rewrap_one(address, data, serializer)
        return changed

    async def _rewrap_one(
        self, address: Address, data: bytes | None, serializer: EncryptedSerializer
    ) -> bool:
        """Compare and set until the record is current or gone; return whether this call did it."""
        deadline, attempt = self._deadline(), 0
        while data is not None:
            renewed = serializer.rewrap(data, address)
            if renewed is None:
                return False
            store = self._handle.store
            if await store.compare_and_set(address, data, renewed, KEEP_TTL, deadline=deadline):
                return True
            attempt += 1
            await store.pause(attempt, address, deadline=deadline)
            data = await store.read(address, deadline=deadline)
        return False


def _check_progress(progress: Any) -> None:
    if progress is not None and not callable(progress):
        raise InvalidArgumentError(
            f"progress must be a function of a key and a number, not {type(progress).__name__}"
        )
