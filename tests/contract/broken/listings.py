"""Stores that list too little, too much, or in the wrong order."""

import re
import time

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.plugin import Page


@broken("test_many_keys")
class ListsAThousand(MinimalStore):
    """The first page is returned as the whole listing."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page(page.keys, None)


@broken(
    "test_digits_are_sorted_as_text", "test_each_removal_is_unlisted", "test_each_write_is_listed"
)
class ListsUnsorted(MinimalStore):
    """Keys are listed in the order in which they were written."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = [key for key in self.inside(space) if key.startswith(prefix)]
        start = int(cursor or 0)
        end = start + limit
        return Page(keys[start:end], str(end) if end < len(keys) else None)


@broken("test_code_point_order", "test_pages")
class ListsByUTF16(MinimalStore):
    """Keys are sorted by UTF-16 code units."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        def units(key):
            return key.encode("utf-16-be")

        keys = sorted((key for key in self.inside(space) if key.startswith(prefix)), key=units)
        rest = [key for key in keys if cursor is None or units(key) > units(cursor)]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)


@broken("test_many_keys", "test_pages_over_expired")
class ListsTwice(MinimalStore):
    """The last key of a page is the first of the next one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page(
            [cursor, *page.keys][:limit] if cursor and limit > 1 else page.keys, page.cursor
        )


@broken("test_pages")
class ListsForEver(MinimalStore):
    """Each page begins with the last key of the one before, and so a page of one key repeats."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = sorted(key for key in self.inside(space) if key.startswith(prefix))
        rest = [key for key in keys if cursor is None or key >= cursor]
        return Page(rest[:limit], rest[limit - 1] if len(rest) >= limit else None)


@broken("test_pages_while_adding", "test_pages_while_removing")
class PagesByNumber(MinimalStore):
    """A cursor counts records, and skips some when listed ones are removed meanwhile."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = sorted(key for key in self.inside(space) if key.startswith(prefix))
        start = int(cursor or 0)
        end = start + limit
        return Page(keys[start:end], str(end) if end < len(keys) else None)


@broken("test_empty_space")
class SplitsNothing(MinimalStore):
    """Keys are joined and split by a line break, so that no key becomes an empty one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)
        return Page("\n".join(page.keys).split("\n"), page.cursor)


@broken("test_listing_during_writes")
class ListsByOffset(MinimalStore):
    """Each key is looked up by its number, which changes when others are removed."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = []
        while rest := sorted(self.inside(space))[len(keys) :]:
            keys.append(rest[0])
            if len(keys) == 3:
                self.wait_for_change(space, keys)
        return Page(keys, None)

    def wait_for_change(self, space, keys):
        """Let other calls change what was listed so far: a moment's pause may meet none."""
        until = time.monotonic() + 0.05
        while sorted(self.inside(space))[: len(keys)] == keys and time.monotonic() < until:
            time.sleep(0.0001)


@broken("test_results")
class EverythingExists(MinimalStore):
    """Each key exists."""

    def exists(self, address, *, deadline):
        return True


@broken("test_prefixes")
class PrefixIsAPattern(MinimalStore):
    """A scan passes its prefix to SQL's LIKE."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        pattern = re.escape(prefix).replace("%", ".*").replace("_", ".")
        keys = sorted(key for key in self.inside(space) if re.match(pattern, key, re.DOTALL))
        rest = [key for key in keys if cursor is None or key > cursor]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)


@broken("test_prefixes")
class PrefixIsIgnoredAtPages(MinimalStore):
    """A scan applies its prefix after counting the page, and ends at an empty one."""

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        page = super().scan(space, cursor=cursor, limit=limit, deadline=deadline)
        keys = [key for key in page.keys if key.startswith(prefix)]
        return Page(keys, page.cursor if keys else None)
