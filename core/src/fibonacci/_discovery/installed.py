"""The installed plugins, read from the metadata of distributions.

Broken metadata of one distribution hides no plugin of another.
"""

import os
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final

import attrs

from fibonacci._discovery.kinds import KINDS, Kind
from fibonacci._discovery.plugin import Plugin
from fibonacci.plugin._runtime.signals import raise_for_signal

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint


_MOVED_ASIDE: Final = "~"
"""The prefix of a folder that pip renamed to remove it, and could not remove."""


@attrs.frozen(kw_only=True)
class DistributionEntryPoints:
    """The entry points of one distribution in one group."""

    name: str
    version: str
    is_complete: bool
    """Whether the metadata has the name and version; otherwise they come from the folder's name."""
    points: "tuple[EntryPoint, ...]"


def _entry_points(group: str) -> "Iterable[EntryPoint]":
    """Return the entry points of a group, except those that can't be read."""
    # Imported here: it costs 33 ms, and backend="memory" never needs it.
    import importlib_metadata

    try:
        return importlib_metadata.entry_points(group=group)
    except Exception as error:  # noqa: BLE001 - one distribution's can't be read: skip it
        raise_for_signal(error)
    return chain.from_iterable(
        _select_entry_points(distribution, group) or () for distribution in _distributions()
    )


def _shadowed_entry_points(group: str) -> "list[EntryPoint]":
    """Return the entry points that remains of a distribution of the same name hide.

    importlib_metadata takes such a folder, without metadata and earlier on the path, for the
    distribution.
    """
    first: dict[str, Any] = {}
    found: list[EntryPoint] = []
    for distribution in _distributions():
        name, _ = split_folder_name(_metadata_folder(distribution))
        before = first.setdefault(normalize(name), distribution)
        if before is not distribution and not all(_name_and_version(before)):
            found += _select_entry_points(distribution, group) or ()
    return found


def _by_distribution(points: "Iterable[EntryPoint]") -> list[DistributionEntryPoints]:
    """Return the entry points of each distribution.

    Of several with one name the first on the path is used, or the first that is complete.
    """
    found: dict[str, DistributionEntryPoints] = {}
    for distribution, group in groupby(points, lambda point: point.dist):
        if not os.path.basename(_metadata_folder(distribution)).startswith(_MOVED_ASIDE):
            identified = _identify(distribution, tuple(group))
            name = normalize(identified.name)
            before = found.setdefault(name, identified)
            if identified.is_complete and not before.is_complete:
                found[name] = identified
    return list(found.values())


def unreadable_folders() -> list[str]:
    """Return the folders of metadata whose entry points can't be read."""
    broken = [
        _metadata_folder(distribution)
        for distribution in _distributions()
        if _select_entry_points(distribution, "") is None
    ]
    return [folder for folder in broken if folder]


def split_folder_name(folder: str) -> tuple[str, str]:
    """Return the name and version in the name of a metadata folder."""
    name, _, version = os.path.splitext(os.path.basename(folder))[0].partition("-")
    return name, version


def normalize(name: str) -> str:
    """Return a package's normalized name (PEP 503): fibonacci-redis for Fibonacci_Redis."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions() -> Iterable[Any]:
    import importlib_metadata

    reader: Any = importlib_metadata  # its types differ from version to version
    # Without entries that are no path: Python ignores them, importlib_metadata fails.
    path = [entry for entry in sys.path if isinstance(entry, str) and "\0" not in entry]
    try:
        return list(reader.distributions(path=path))
    except Exception as error:  # noqa: BLE001 - one of sys.meta_path's finders is broken
        raise_for_signal(error)
    context = reader.DistributionFinder.Context(path=path)
    found: Iterable[Any] = reader.MetadataPathFinder.find_distributions(context)
    return found


def _select_entry_points(distribution: Any, group: str) -> "Iterable[EntryPoint] | None":
    """Return the entry points of the group, or None if they can't be read."""
    try:
        selected: Iterable[EntryPoint] = distribution.entry_points.select(group=group)
        return selected
    except Exception as error:  # noqa: BLE001 - whatever is in the file
        raise_for_signal(error)
    return None


def _identify(distribution: Any, points: "tuple[EntryPoint, ...]") -> DistributionEntryPoints:
    name, version = _name_and_version(distribution)
    if name and version:
        return DistributionEntryPoints(name=name, version=version, is_complete=True, points=points)
    name, version = split_folder_name(_metadata_folder(distribution))
    return DistributionEntryPoints(
        name=name.replace("_", "-") or "a broken distribution",
        version=version or "of unknown version",
        is_complete=False,
        points=points,
    )


def _name_and_version(distribution: Any) -> tuple[Any, Any]:
    """Return what the metadata says; None for what is missing."""
    try:
        return distribution.name, distribution.version
    except Exception as error:  # noqa: BLE001 - an incomplete uninstall leaves anything
        raise_for_signal(error)
    return None, None


def _metadata_folder(distribution: Any) -> str:
    """Return the path of the metadata, also in a zip file; "" with a third-party finder."""
    return str(getattr(distribution, "_path", "")).rstrip("/")


_plugins_by_entry_point: Final[dict[tuple[str, ...], Plugin]] = {}


def installed_plugins(kind: Kind) -> tuple[Plugin, ...]:
    """Return the plugins of one kind, without importing any.

    All metadata is read again only when a directory that holds it has changed: an environment may
    have hundreds of distributions, and that takes milliseconds.
    """
    return _read_plugins(
        kind.name, tuple(_folder_state(entry) for entry in sys.path if isinstance(entry, str))
    )


def refresh() -> None:
    """Read all metadata again: it may have been read during an installation."""
    _read_plugins.cache_clear()


@lru_cache(maxsize=16)
def _read_plugins(kind_name: str, state: tuple[object, ...]) -> tuple[Plugin, ...]:
    return _create_plugins(KINDS[kind_name], _entry_points(f"fibonacci.{kind_name}"))


def find_shadowed(kind: Kind) -> tuple[Plugin, ...]:
    """Return the plugins that a broken installation hides; this is slow."""
    return _create_plugins(kind, _shadowed_entry_points(f"fibonacci.{kind.name}"))


def _create_plugins(kind: Kind, points: "Iterable[EntryPoint]") -> tuple[Plugin, ...]:
    found: dict[tuple[str, ...], Plugin] = {}
    for distribution in _by_distribution(points):
        name, version = distribution.name, distribution.version
        for point in distribution.points:
            key = (kind.name, point.name, name, version, point.value)
            plugin = Plugin(
                kind=kind,
                name=point.name,
                distribution=name,
                version=version,
                module=point.value.partition(":")[0].strip(),
                loader=point.load,
            )
            # The plugin that was found earlier knows how its import went.
            found[key] = _plugins_by_entry_point.setdefault(key, plugin)
    return tuple(found.values())


def _folder_state(folder: str) -> object:
    """Return what changes when a distribution is added to the folder, or removed.

    importlib_metadata caches by the same.
    """
    try:
        return folder, os.stat(folder or ".").st_mtime_ns
    except (OSError, ValueError):  # not there; or no path
        return folder, None
