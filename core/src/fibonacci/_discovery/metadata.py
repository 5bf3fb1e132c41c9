"""The metadata of distributions, read so that one which is broken hides no other."""

import os.path
import re
import sys
from collections.abc import Iterable
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final

import attrs

from fibonacci.plugin._runtime.signals import raise_for_signal

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

_ASIDE: Final = "~"
"""How a folder begins that pip moved aside to remove it, and could not."""


@attrs.frozen(kw_only=True)
class Points:
    """The entry points of one distribution in one group."""

    name: str
    version: str
    whole: bool
    """Whether the metadata says its name; else its folder does."""
    points: "tuple[EntryPoint, ...]"


def read_points(group: str) -> "Iterable[EntryPoint]":
    """Return the entry points of a group, of whatever can be read."""
    # Imported here: it costs 33 ms, and backend="memory" never needs it.
    import importlib_metadata

    try:
        return importlib_metadata.entry_points(group=group)
    except Exception as fault:  # noqa: BLE001 - one distribution's can't be read: leave it out
        raise_for_signal(fault)
    return chain.from_iterable(_select(one, group) or () for one in _distributions())


def hidden_points(group: str) -> "list[EntryPoint]":
    """Return those behind what is left of a distribution of the same name, up the path.

    importlib_metadata takes such a folder, with no metadata in it, for the distribution.
    """
    first: dict[str, Any] = {}
    found: list[EntryPoint] = []
    for one in _distributions():
        before = first.setdefault(normalised(split(_folder(one))[0]), one)
        if before is not one and not all(_named(before)):
            found += _select(one, group) or ()
    return found


def by_distribution(points: "Iterable[EntryPoint]") -> list[Points]:
    """Return the entry points of each distribution.

    Of several with one name the first on the path counts, or the first that is whole.
    """
    found: dict[str, Points] = {}
    for distribution, its in groupby(points, lambda point: point.dist):
        if not os.path.basename(_folder(distribution)).startswith(_ASIDE):
            one = _identified(distribution, tuple(its))
            before = found.setdefault(normalised(one.name), one)
            if one.whole and not before.whole:
                found[normalised(one.name)] = one
    return list(found.values())


def unreadable() -> list[str]:
    """Return the folders of metadata whose entry points can't be read."""
    broken = [_folder(one) for one in _distributions() if _select(one, "") is None]
    return [folder for folder in broken if folder]


def split(folder: str) -> tuple[str, str]:
    """Return the name and the version that a folder of metadata is called by."""
    name, _, version = os.path.splitext(os.path.basename(folder))[0].partition("-")
    return name, version


def normalised(name: str) -> str:
    """As Python's packages are compared (PEP 503): Fibonacci_Redis is fibonacci-redis."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distributions() -> Iterable[Any]:
    import importlib_metadata

    reader: Any = importlib_metadata  # its types differ from version to version
    # What is no path is left out: Python does so too, and importlib_metadata fails over it.
    path = [entry for entry in sys.path if isinstance(entry, str) and "\0" not in entry]
    try:
        return list(reader.distributions(path=path))
    except Exception as fault:  # noqa: BLE001 - one of sys.meta_path's finders is broken
        raise_for_signal(fault)
    context = reader.DistributionFinder.Context(path=path)
    found: Iterable[Any] = reader.MetadataPathFinder.find_distributions(context)
    return found


def _select(distribution: Any, group: str) -> "Iterable[EntryPoint] | None":
    """The entry points of the group, or None where they can't be read."""
    try:
        selected: Iterable[EntryPoint] = distribution.entry_points.select(group=group)
        return selected
    except Exception as fault:  # noqa: BLE001 - whatever is in the file
        raise_for_signal(fault)
    return None


def _identified(distribution: Any, points: "tuple[EntryPoint, ...]") -> Points:
    name, version = _named(distribution)
    if name and version:
        return Points(name=name, version=version, whole=True, points=points)
    name, version = split(_folder(distribution))
    return Points(
        name=name.replace("_", "-") or "a broken distribution",
        version=version or "of unknown version",
        whole=False,
        points=points,
    )


def _named(distribution: Any) -> tuple[Any, Any]:
    """What the metadata says, as far as it is there."""
    try:
        return distribution.name, distribution.version
    except Exception as fault:  # noqa: BLE001 - a half-finished uninstall leaves anything behind
        raise_for_signal(fault)
    return None, None


def _folder(distribution: Any) -> str:
    """Where the metadata is, also in a zip file; others' finders do not say."""
    return str(getattr(distribution, "_path", "")).rstrip("/")
