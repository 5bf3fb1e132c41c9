"""rewrap: records sealed anew with the first key, in place, while others go on using them."""

from collections.abc import Callable
from typing import Any

from fibonacci._memory.addresses import UNSAID
from fibonacci._memory.envelope import PlainEnvelope, SealedEnvelope
from fibonacci._memory.operations.batch import AT_ONCE
from fibonacci._memory.operations.verbs import Verbs, in_sync
from fibonacci.errors import EncryptionError, InvalidArgumentError
from fibonacci.plugin.address import Address, Scope, Space
from fibonacci.plugin.storage import KEEP_TTL, Page

Progress = Callable[[str, int], object]
"""Takes the last key that is done, and how many records were looked at."""


class Rewrapping(Verbs):
    """The rotation of keys, one scope at a time."""

    async def arewrap(
        self,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        *,
        start_after: str | None = None,
        progress: Callable[[str, int], object] | None = None,
    ) -> int:
        """Seal the records of one scope with the first key; return how many were changed.

        Values and expiries stay as they are, and others may read and write meanwhile: a record
        is replaced only if nobody else has just done so, and looked at again otherwise. When it
        returns, each record that was there all the while is as ``set`` would write it today:
        sealed with the first of ``encryption_key``; plain ones, which only
        ``plaintext_reads="allow"`` lets it read, are sealed too. After a fault, call it again:
        records that are sealed with the first key already are left as they are.

        Args:
            scope: whose records they are.
            user_id: the user, for the user scope alone.
            start_after: go on behind this key, in the order of ``list_keys``.
            progress: called now and then with the last key that is done, and with how many
                records were looked at so far.

        Each request has the timeout to itself. Raises EncryptionError where this memory has no
        encryption, DecryptionError or CorruptRecordError at a record that does not open (it and
        those behind it stay as they are; ``start_after`` its key goes on behind it), ScopeError,
        InvalidKeyError, StorageError.
        """
        envelope = self._sealed_envelope()
        _check_progress(progress)
        space = self._whole(scope, user_id)
        if start_after is not None:
            start_after = self._find(start_after, scope, user_id).key
        return await self._rewrap_space(space, envelope, start_after, progress)

    rewrap = in_sync(arewrap)

    async def _rewrap_space(
        self,
        space: Space,
        envelope: SealedEnvelope,
        start_after: str | None,
        progress: Progress | None,
    ) -> int:
        page, cursor, seen, changed = Page((), ""), None, 0, 0
        while page.cursor is not None:
            page = await self._handle.store.scan(space, cursor=cursor, deadline=self._deadline())
            cursor = page.cursor
            keys = [key for key in page.keys if start_after is None or key > start_after]
            todo = [Address(space, key) for key in keys]
            for start in range(0, len(todo), AT_ONCE):
                part = todo[start : start + AT_ONCE]
                changed += await self._rewrap_all(part, envelope)
                seen += len(part)
                if progress is not None:
                    progress(part[-1].key, seen)
        return changed

    def _sealed_envelope(self) -> SealedEnvelope:
        envelope = self._means.envelope
        if isinstance(envelope, PlainEnvelope):
            raise EncryptionError(
                "this memory has no encryption, so there is nothing to wrap anew: set "
                "encrypt_values=True and the keys in its MemoryConfig"
            )
        return envelope

    async def _rewrap_all(self, addresses: list[Address], envelope: SealedEnvelope) -> int:
        found = await self._handle.store.read_many(addresses, deadline=self._deadline())
        changed = 0
        for address, data in zip(addresses, found, strict=True):
            changed += await self._rewrap_one(address, data, envelope)
        return changed

    async def _rewrap_one(
        self, address: Address, data: bytes | None, envelope: SealedEnvelope
    ) -> bool:
        """Compare and set until the record is as it should be, or gone; say whether we did it."""
        deadline, attempt = self._deadline(), 0
        while data is not None:
            renewed = envelope.rewrap(data, address)
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
