r"""list_keys and iter_keys: which live records a scope has.

Patterns are those of ``fnmatch.fnmatchcase``, and are matched here only. Servers have globs of
their own, and each interprets ``[!a]``, ``\*`` or ``?`` differently. A backend gets at most the
literal prefix of a pattern, so that it lists less.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from fnmatch import translate
from typing import Any, Final

from fibonacci._memory.addresses import DEFAULT_SCOPE
from fibonacci._memory.operations.base import BaseOperations
from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Scope, Space, name_problem
from fibonacci.plugin.storage import Page

MAX_PATTERN_LENGTH: Final = 2_000
"""Characters of a pattern: to compile a longer one could take seconds."""

_WILDCARD: Final = re.compile(r"[*?\[]")


class ListingOperations(BaseOperations):
    """Keys, in the order of their code points; each request has the full timeout."""

    def list_keys(
        self,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        pattern: str | None = None,
    ) -> list[str]:
        """Return the keys of one scope that match the pattern, sorted by code point.

        Args:
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            pattern: which keys: ``*`` matches everything, ``?`` one character, ``[seq]`` and
                ``[!seq]`` one of some (``fnmatch.fnmatchcase``); None: all.

        Raises ScopeError, InvalidArgumentError or StorageError.
        """
        return run_sync(self._sync_view.alist_keys(scope, user_id, pattern))

    async def alist_keys(
        self,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        pattern: str | None = None,
    ) -> list[str]:
        """Return the keys of one scope that match the pattern; the async form of ``list_keys``."""
        space, matches = self._resolve_whole_space(scope, user_id), compile_pattern(pattern)
        page = await self._scan(space, pattern, None)
        keys = list(filter(matches, page.keys))
        while page.cursor is not None:
            page = await self._scan(space, pattern, page.cursor)
            keys += filter(matches, page.keys)
        return keys

    def iter_keys(
        self,
        pattern: str | None = None,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
    ) -> Iterator[str]:
        """Iterate over what ``list_keys`` returns, a page at a time.

        Args:
            pattern: which keys: ``*`` matches everything, ``?`` one character, ``[seq]`` and
                ``[!seq]`` one of some (``fnmatch.fnmatchcase``); None: all.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.

        Raises what ``list_keys`` raises; a StorageError comes with the page.
        """
        space, matches = self._resolve_whole_space(scope, user_id), compile_pattern(pattern)
        view = self._sync_view

        def iterate() -> Iterator[str]:
            page = Page((), "")
            cursor = None
            while page.cursor is not None:
                page = run_sync(view._scan(space, pattern, cursor))
                cursor = page.cursor
                yield from filter(matches, page.keys)

        return iterate()

    def aiter_keys(
        self,
        pattern: str | None = None,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
    ) -> AsyncIterator[str]:
        """Iterate with ``async for``, a page at a time; the async form of ``iter_keys``."""
        space, matches = self._resolve_whole_space(scope, user_id), compile_pattern(pattern)

        async def iterate() -> AsyncIterator[str]:
            page = Page((), "")
            cursor = None
            while page.cursor is not None:
                page = await self._scan(space, pattern, cursor)
                cursor = page.cursor
                for key in filter(matches, page.keys):
                    yield key

        return iterate()

    async def _scan(self, space: Space, pattern: str | None, cursor: str | None) -> Page:
        page: Page = await self._handle.store.scan(
            space, prefix=literal_prefix(pattern), cursor=cursor, deadline=self._deadline()
        )
        return page


def literal_prefix(pattern: str | None) -> str:
    """Return what every key that matches starts with."""
    prefix = "" if pattern is None else _WILDCARD.split(pattern, maxsplit=1)[0]
    return "" if name_problem(prefix) else prefix  # a server must not see what no key starts with


def compile_pattern(pattern: Any) -> Callable[[str], object]:
    """Return a function that says whether a key matches; None matches every key.

    Raises InvalidArgumentError if the pattern is not text, or too long.
    """
    if pattern is None:
        return lambda key: True
    if not isinstance(pattern, str):
        raise InvalidArgumentError(
            f"pattern must be text such as 'cache:*', not {type(pattern).__name__}"
        )
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise InvalidArgumentError(
            f"pattern has {len(pattern):,} characters; it may have {MAX_PATTERN_LENGTH:,}"
        )
    return re.compile(translate(pattern)).match
