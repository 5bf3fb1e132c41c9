"""The plugins that are installed, read from the metadata of distributions."""

import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fibonacci._discovery.kinds import KINDS, Kind
from fibonacci._discovery.metadata import by_distribution, hidden_points, read_points
from fibonacci._discovery.plugin import Plugin

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

_seen: Final[dict[tuple[str, ...], Plugin]] = {}


def installed(kind: Kind) -> tuple[Plugin, ...]:
    """Return the plugins of one kind, without importing any.

    All metadata is read again only when a directory that holds it has changed: an environment may
    have hundreds of distributions, and that takes milliseconds.
    """
    return _read(kind.name, tuple(_state(entry) for entry in sys.path if isinstance(entry, str)))


def look_again() -> None:
    """Read all metadata anew: whoever looked in the midst of an installation saw half of it."""
    _read.cache_clear()


@lru_cache(maxsize=16)
def _read(kind_name: str, state: tuple[object, ...]) -> tuple[Plugin, ...]:
    return _plugins(KINDS[kind_name], read_points(f"fibonacci.{kind_name}"))


def hidden(kind: Kind) -> tuple[Plugin, ...]:
    """Return those whose metadata a broken installation stands before; it takes some time."""
    return _plugins(kind, hidden_points(f"fibonacci.{kind.name}"))


def _plugins(kind: Kind, points: "Iterable[EntryPoint]") -> tuple[Plugin, ...]:
    found: dict[tuple[str, ...], Plugin] = {}
    for one in by_distribution(points):
        for point in one.points:
            key = (kind.name, point.name, one.name, one.version, point.value)
            fresh = Plugin(
                kind=kind,
                name=point.name,
                distribution=one.name,
                version=one.version,
                module=point.value.partition(":")[0].strip(),
                source=point.load,
            )
            # The one that was found earlier, if it was: it knows how its import went.
            found[key] = _seen.setdefault(key, fresh)
    return tuple(found.values())


def _state(folder: str) -> object:
    """What changes when a distribution is put into the folder, or taken out.

    importlib_metadata goes by the same, and would see no more.
    """
    try:
        return folder, os.stat(folder or ".").st_mtime_ns
    except (OSError, ValueError):  # not there; or no path
        return folder, None
