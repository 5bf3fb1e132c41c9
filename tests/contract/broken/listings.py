"""Stores that list too little, too much, or in the wrong order."""

import re

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.plugin import Page


@broken("C14")
class ListsAThousand(MinimalStore):
    """The first page is returned as the whole listing."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page(page.keys, None)


@broken("C14")
class ListsUnsorted(MinimalStore):
    """Keys are listed in the order in which they were written."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = [key for key in self.inside(space) if key.startswith(prefix)]
        start = int(cursor or 0)
        end = start + limit
        return Page(keys[start:end], str(end) if end < len(keys) else None)


@broken("C14")
class ListsByUTF16(MinimalStore):
    """Keys are sorted by UTF-16 code units."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        def units(key):
            return key.encode("utf-16-be")

        keys = sorted((key for key in self.inside(space) if key.startswith(prefix)), key=units)
        rest = [key for key in keys if cursor is None or units(key) > units(cursor)]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)


@broken("C14")
class ListsTwice(MinimalStore):
    """The last key of a page is the first of the next one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page(
            [cursor, *page.keys][:limit] if cursor and limit > 1 else page.keys, page.cursor
        )


@broken("C14")
class PagesByNumber(MinimalStore):
    """A cursor counts records, and skips some when listed ones are removed meanwhile."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = sorted(key for key in self.inside(space) if key.startswith(prefix))
        start = int(cursor or 0)
        end = start + limit
        return Page(keys[start:end], str(end) if end < len(keys) else None)


@broken("C15")
class PrefixIsAPattern(MinimalStore):
    """A scan passes its prefix to SQL's LIKE."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        pattern = re.escape(prefix).replace("%", ".*").replace("_", ".")
        keys = sorted(key for key in self.inside(space) if re.match(pattern, key, re.DOTALL))
        rest = [key for key in keys if cursor is None or key > cursor]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)


@broken("C15")
class PrefixIsIgnoredAtPages(MinimalStore):
    """A scan applies its prefix after counting the page, and ends at an empty one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, cursor=cursor, limit=limit, deadline=deadline)
        keys = [key for key in page.keys if key.startswith(prefix)]
        return Page(keys, page.cursor if keys else None)
