"""The registered plugins, and how a plugin is found by its kind and name.

It is searched for among the plugins registered in this process, the newest first, and then among
the entry points of its kind's group. Only the plugin that is used is imported.
"""

import os
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import TracebackType
from typing import Final

import attrs

from fibonacci._builtin import echo, local, scripted, template_engine
from fibonacci._discovery.installed import find_shadowed, installed_plugins, normalize, refresh
from fibonacci._discovery.kinds import BLOCK_VARIABLE, KINDS
from fibonacci._discovery.plugin import Plugin, State
from fibonacci.errors import PluginConflictError, PluginNotFoundError
from fibonacci.plugin._runtime.errors import did_you_mean


@attrs.frozen(kw_only=True)
class PluginInfo:
    """One plugin that this process could use, as ``plugins()`` lists it.

    Attributes:
        kind: "storage", "encryption", "templating" or "models".
        name: the name that users write, such as "redis".
        distribution: the distribution that provides it; None for a plugin that was registered in
            this process.
        version: the version of the distribution; None if there is no distribution.
        state: "available"; "blocked" by the variable FIBONACCI_BLOCK_PLUGINS; "conflict": another
            distribution provides the same name; "loaded" or "failed": how its last use went.
    """

    kind: str
    name: str
    distribution: str | None
    version: str | None
    state: State


class Registration:
    """A plugin registered in this process, until :meth:`undo` or the end of a ``with`` block."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        _registered.insert(0, plugin)

    def undo(self) -> None:
        """Remove the plugin; workflows that use it go on with it."""
        if self._plugin in _registered:
            _registered.remove(self._plugin)

    def __enter__(self) -> "Registration":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.undo()


_registered: Final[list[Plugin]] = [
    Plugin(kind=KINDS["storage"], name="memory", loader=lambda: local),
    Plugin(kind=KINDS["templating"], name="builtin", loader=lambda: template_engine),
    Plugin(kind=KINDS["models"], name="echo", loader=lambda: echo),
    Plugin(kind=KINDS["models"], name="scripted", loader=lambda: scripted),
]


def register_plugin(kind: str, name: str, plugin: object) -> Registration:
    """Register a plugin for this process; it takes precedence over an installed one of its name.

    It needs no metadata: use it in tests, and in programs without metadata, such as frozen ones. It
    takes effect at once, and ends with ``with`` or ``.undo()``.

    Args:
        kind: "storage", "encryption", "templating" or "models".
        name: the name that users write, such as "redis".
        plugin: a module or an object with ``FIBONACCI_SPEC_VERSION`` and the hook of its kind.

    Raises PluginNotFoundError for a kind that does not exist.
    """
    if not isinstance(name, str) or not name:
        raise PluginNotFoundError("a plugin needs a name: a str that is not empty")
    if not isinstance(kind, str) or kind not in KINDS:
        raise PluginNotFoundError(
            f"unknown kind of plugin {kind!r}.{did_you_mean(kind, KINDS)} "
            f"There are: {', '.join(KINDS)}"
        )
    return Registration(Plugin(kind=KINDS[kind], name=name, loader=lambda: plugin))


def plugins() -> tuple[PluginInfo, ...]:
    """List the plugins that are installed or registered, without importing any."""
    _warn_of_unknown_names()
    found = [
        _info(plugin, "blocked" if _is_blocked(plugin) else plugin.state) for plugin in _registered
    ]
    for kind in KINDS.values():
        usable = [plugin.name for plugin in installed_plugins(kind) if not _is_blocked(plugin)]
        for plugin in installed_plugins(kind):
            state: State = "conflict" if usable.count(plugin.name) > 1 else plugin.state
            found.append(_info(plugin, "blocked" if _is_blocked(plugin) else state))
    return tuple(sorted(found, key=lambda info: (info.kind, info.name, info.distribution or "")))


def has_plugin(kind: str, name: str) -> bool:
    """Return whether there is a plugin of this kind and name, even a blocked or conflicting one.

    Metadata is read for this kind only, and only if no registered plugin has the name.
    """
    return name in _registered_names(kind) or bool(_find_installed(kind, name))


def find_plugin(kind: str, name: str) -> Plugin:
    """Return the one plugin of this kind and name.

    Raises PluginNotFoundError if there is none, and PluginConflictError if there are two.
    """
    _warn_of_unknown_names()
    registered = [
        plugin for plugin in _registered if (plugin.kind.name, plugin.name) == (kind, name)
    ]
    if registered and not _is_blocked(registered[0]):
        return registered[0]
    named = registered or _find_installed(kind, name)
    if not named:
        refresh()
        named = _find_installed(kind, name) or _select_by_name(find_shadowed(KINDS[kind]), name)
    usable = [plugin for plugin in named if not _is_blocked(plugin)]
    if len(usable) > 1:
        raise _conflict_error(usable)
    if not usable:
        raise _not_found_error(kind, name, is_blocked=bool(named))
    return usable[0]


def _find_installed(kind: str, name: str) -> list[Plugin]:
    return _select_by_name(installed_plugins(KINDS[kind]), name)


def _select_by_name(plugins: Iterable[Plugin], name: str) -> list[Plugin]:
    return [plugin for plugin in plugins if plugin.name == name]


def _known_names() -> Iterator[str]:
    """Return the names and distributions of all plugins, and of ours that are not installed."""
    for kind in KINDS.values():
        for plugin in [*_registered, *installed_plugins(kind)]:
            yield from filter(None, (plugin.name, plugin.distribution))
        for name, extra in kind.extras.items():
            yield from (name, f"fibonacci-{extra}")


def _registered_names(kind: str) -> set[str]:
    return {plugin.name for plugin in _registered if plugin.kind.name == kind}


def match_prefix(kind: str, text: str) -> str | None:
    """Return the longest name that ends in "-" and that the text starts with, or None.

    The names of our plugins match even if these are not installed: the error for the name says
    what to install.
    """
    names = {plugin.name for plugin in installed_plugins(KINDS[kind])}
    candidates = names | _registered_names(kind) | KINDS[kind].extras.keys()
    return max(
        (name for name in candidates if name.endswith("-") and text.startswith(name)),
        key=len,
        default=None,
    )


def _info(plugin: Plugin, state: State) -> PluginInfo:
    return PluginInfo(
        kind=plugin.kind.name,
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        state=state,
    )


def _conflict_error(rivals: list[Plugin]) -> PluginConflictError:
    names = sorted({f"{plugin.distribution} {plugin.version}" for plugin in rivals})
    if len(names) == 1:
        return PluginConflictError(f"{rivals[0].label} names two modules in its entry points")
    count = {2: "two"}.get(len(names), str(len(names)))
    return PluginConflictError(
        f"{rivals[0].kind.short_noun} {rivals[0].name!r} is provided by {count} distributions: "
        f"{', '.join(names)}. Uninstall one, or name it in {BLOCK_VARIABLE}"
    )


def _not_found_error(kind: str, name: str, *, is_blocked: bool) -> PluginNotFoundError:
    # Imported here: only this error needs it.
    from fibonacci._discovery.not_found import not_found_error

    usable = {info.name for info in plugins() if info.kind == kind and info.state != "blocked"}
    return not_found_error(KINDS[kind], name, usable, is_blocked=is_blocked)


_checked: Final[set[str]] = set()
"""Values of the variable that were checked for unknown names."""


def _is_blocked(plugin: Plugin) -> bool:
    """Return whether the variable names the plugin, or its distribution."""
    blocked = _parse_names(os.environ.get(BLOCK_VARIABLE, ""))
    if not blocked:
        return False
    names = {normalize(name) for name in (plugin.name, plugin.distribution) if name}
    return not blocked.keys().isdisjoint(names)


def _warn_of_unknown_names() -> None:
    """Warn, once for each value of the variable, of names in it that no plugin has.

    The names of all plugins are listed only if the variable is set.
    """
    text = os.environ.get(BLOCK_VARIABLE, "")
    if not text or text in _checked:
        return
    _checked.add(text)
    known = {normalize(name): name for name in _known_names()}
    blocked = _parse_names(text)
    unknown = [name for normalized, name in blocked.items() if normalized not in known]
    if unknown or not blocked:
        hint = did_you_mean(unknown[0], known.values()) if unknown else ""
        listed = ", ".join(map(repr, unknown)) or "nothing"
        warnings.warn(
            f"{BLOCK_VARIABLE} names {listed}: no plugin here has such a name, nor its "
            f"distribution, so that blocks nothing.{hint} Write names with commas between",
            UserWarning,
            stacklevel=3,
        )


@lru_cache(maxsize=16)
def _parse_names(text: str) -> dict[str, str]:
    """Return the names in the variable, by their normalized form."""
    return {normalize(name): name for name in map(str.strip, text.split(",")) if name}
