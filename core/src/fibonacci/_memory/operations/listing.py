"""list_keys, iter_keys: which live records a scope has."""

from collections.abc import AsyncIterator, Iterator

from fibonacci._memory.addresses import UNSAID
from fibonacci._memory.operations.verbs import Verbs, in_sync
from fibonacci._memory.patterns import literal_start, matcher
from fibonacci.plugin.address import Scope, Space
from fibonacci.plugin.storage import Page


class Listing(Verbs):
    """Keys, in the order of their code points; each request has the timeout to itself."""

    async def alist_keys(
        self, scope: Scope = UNSAID, user_id: str | None = None, pattern: str | None = None
    ) -> list[str]:
        """Return the keys of one scope, sorted by code point; those that match the pattern.

        ``*`` matches everything, ``?`` one character, ``[seq]`` and ``[!seq]`` one of some
        (``fnmatch.fnmatchcase``). Raises ScopeError, InvalidArgumentError or StorageError.
        """
        space, match = self._whole(scope, user_id), matcher(pattern)
        page = await self._apage(space, pattern, None)
        keys = list(filter(match, page.keys))
        while page.cursor is not None:
            page = await self._apage(space, pattern, page.cursor)
            keys += filter(match, page.keys)
        return keys

    list_keys = in_sync(alist_keys)

    def aiter_keys(
        self, pattern: str | None = None, scope: Scope = UNSAID, user_id: str | None = None
    ) -> AsyncIterator[str]:
        """Iterate over what ``list_keys`` returns, a page at a time: ``async for``."""
        space, match = self._whole(scope, user_id), matcher(pattern)

        async def pages() -> AsyncIterator[str]:
            page = Page((), "")
            cursor = None
            while page.cursor is not None:
                page = await self._apage(space, pattern, cursor)
                cursor = page.cursor
                for key in filter(match, page.keys):
                    yield key

        return pages()

    def iter_keys(
        self, pattern: str | None = None, scope: Scope = UNSAID, user_id: str | None = None
    ) -> Iterator[str]:
        """Iterate over what ``list_keys`` returns, a page at a time."""
        space, match = self._whole(scope, user_id), matcher(pattern)

        def pages() -> Iterator[str]:
            page = Page((), "")
            cursor = None
            while page.cursor is not None:
                page = self._page(space, pattern, cursor)
                cursor = page.cursor
                yield from filter(match, page.keys)

        return pages()

    async def _apage(self, space: Space, pattern: str | None, cursor: str | None) -> Page:
        page: Page = await self._handle.store.scan(
            space, prefix=literal_start(pattern), cursor=cursor, deadline=self._deadline()
        )
        return page

    _page = in_sync(_apage)
