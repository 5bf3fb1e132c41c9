"""The plugins that are installed, read from the metadata of distributions."""

import os
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fibonacci._discovery.kinds import KINDS, Kind
from fibonacci._discovery.plugin import Plugin

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

_seen: Final[dict[tuple[str, ...], Plugin]] = {}


def installed(kind: Kind) -> tuple[Plugin, ...]:
    """Return the plugins of one kind, without importing any.

    All metadata is read again only when a directory that holds it has changed: an environment may
    have hundreds of distributions, and that takes milliseconds.
    """
    return _read(kind.name, tuple(map(_state, sys.path)))


def look_again() -> None:
    """Read all metadata anew: whoever looked in the midst of an installation saw half of it."""
    _read.cache_clear()


@lru_cache(maxsize=16)
def _read(kind_name: str, state: tuple[object, ...]) -> tuple[Plugin, ...]:
    kind = KINDS[kind_name]
    found: dict[tuple[str, ...], Plugin] = {}
    for point in _entry_points(f"fibonacci.{kind.name}"):
        distribution, version = _origin(point)
        key = (kind.name, point.name, distribution, version, point.value)
        fresh = Plugin(
            kind=kind,
            name=point.name,
            distribution=distribution,
            version=version,
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
    except OSError:
        return folder, None


def _entry_points(group: str) -> "Iterable[EntryPoint]":
    # Imported here: it costs 33 ms, and backend="memory" never needs it.
    import importlib_metadata

    try:
        return importlib_metadata.entry_points(group=group)
    except Exception:  # noqa: BLE001 - one distribution's metadata can't be read: leave it out
        return list(_readable_entry_points(group))


def _readable_entry_points(group: str) -> "Iterator[EntryPoint]":
    import importlib_metadata

    for distribution in importlib_metadata.distributions():
        try:
            yield from distribution.entry_points.select(group=group)
        except Exception:  # noqa: BLE001, S112 - it is this one that can't be read
            continue


def _origin(point: "EntryPoint") -> tuple[str, str]:
    """The distribution's name and version, as far as what is left of its metadata says."""
    try:
        assert point.dist is not None
        return point.dist.name, point.dist.version
    except Exception:  # noqa: BLE001 - a half-finished uninstall leaves anything behind
        return "a broken distribution", "of unknown version"
