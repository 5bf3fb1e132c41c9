"""FIBONACCI_BLOCK_PLUGINS: the plugins that may not be used."""

import os
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from fibonacci._discovery.metadata import normalised
from fibonacci._discovery.plugin import Plugin
from fibonacci.plugin._runtime.errors import did_you_mean

VARIABLE: Final = "FIBONACCI_BLOCK_PLUGINS"

_told: Final[set[str]] = set()
"""Values of the variable whose unknown names were told."""


def is_blocked(plugin: Plugin) -> bool:
    """Say whether the variable names the plugin, or its distribution."""
    named = _named(os.environ.get(VARIABLE, ""))
    return bool(named) and not named.keys().isdisjoint(names_of(plugin))


def names_of(plugin: Plugin) -> set[str]:
    """Return what blocks it: its name and its distribution's, as the variable's are compared."""
    return {normalised(name) for name in (plugin.name, plugin.distribution) if name}


def tell_of_unknown_names(known: Callable[[], Iterable[str]]) -> None:
    """Warn, once for each value of the variable, of what it names that no plugin has.

    ``known`` is asked for the names and the distributions of all plugins only where it is set.
    """
    text = os.environ.get(VARIABLE, "")
    if not text or text in _told:
        return
    _told.add(text)
    names = {normalised(name): name for name in known()}
    unknown = [written for name, written in _named(text).items() if name not in names]
    if unknown or not _named(text):
        hint = did_you_mean(unknown[0], names.values()) if unknown else ""
        listed = ", ".join(map(repr, unknown)) or "nothing"
        warnings.warn(
            f"{VARIABLE} names {listed}: no plugin here has such a name, nor its distribution, so "
            f"that blocks nothing.{hint} Write names with commas between",
            UserWarning,
            stacklevel=3,
        )


@lru_cache(maxsize=16)
def _named(text: str) -> dict[str, str]:
    """The names in the variable, by their normalised form."""
    return {normalised(name): name for name in map(str.strip, text.split(",")) if name}
