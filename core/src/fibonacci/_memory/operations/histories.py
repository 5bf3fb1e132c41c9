"""history and histories: conversations, and which of them a scope has."""

from fibonacci._memory.addresses import USER_SCOPE
from fibonacci._memory.history.history import History, HistoryInfo, history_info
from fibonacci._memory.history.keys import is_page_key
from fibonacci._memory.history.layout import is_head
from fibonacci._memory.history.records import HistoryRecords
from fibonacci._memory.operations.batch import BATCH_SIZE
from fibonacci._memory.operations.listing import ListingOperations, compile_pattern
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Address, Scope


class HistoryOperations(ListingOperations):
    """Conversations, each in records of its own."""

    def history(self, key: str, scope: Scope = USER_SCOPE, user_id: str | None = None) -> History:
        """Return the history with this key, without a request: it need not exist yet.

        Args:
            key: the history's name in its scope, up to 958 bytes in UTF-8. Its older turns are in
                records whose keys begin with it.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises InvalidKeyError or ScopeError.
        """
        address = self._resolve_address(key, scope, user_id)
        return History(address, self._context)

    def histories(
        self, scope: Scope = USER_SCOPE, user_id: str | None = None, pattern: str | None = None
    ) -> list[HistoryInfo]:
        """Return the histories of one scope, sorted by key.

        Reads all records of the scope that may be one; a pattern such as ``"chat:*"`` limits what
        is read.

        Args:
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            pattern: which keys, as for ``list_keys``; None: all.

        Raises what ``list_keys`` raises, and what ``count`` of each history raises: one that is
        corrupt, or of a newer release, fails the call. A pattern can leave it out.
        """
        return run_sync(self._sync_view.ahistories(scope, user_id, pattern))

    async def ahistories(
        self, scope: Scope = USER_SCOPE, user_id: str | None = None, pattern: str | None = None
    ) -> list[HistoryInfo]:
        """Return the histories of one scope; the async form of ``histories``."""
        space, matches = self._resolve_whole_space(scope, user_id), compile_pattern(pattern)
        found: list[HistoryInfo] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self._scan(space, pattern, cursor or None)
            cursor = page.cursor
            keys = [key for key in page.keys if matches(key) and not is_page_key(key)]
            for start in range(0, len(keys), BATCH_SIZE):
                part = [Address(space, key) for key in keys[start : start + BATCH_SIZE]]
                found += await self._read_infos(part)
        return found

    async def _read_infos(self, addresses: list[Address]) -> list[HistoryInfo]:
        """Return what the records among these that are heads say."""
        infos = []
        records = await self._handle.store.read_many(addresses, deadline=self._deadline())
        for address, data in zip(addresses, records, strict=True):
            value = None if data is None else self._deserialize(data, address)
            if is_head(value):
                head = HistoryRecords(address, self._context, self._handle).head_of(value)
                infos.append(history_info(address.key, head))
        return infos
