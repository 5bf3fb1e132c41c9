"""Finding plugins: metadata first, import last, and only the one that was asked for.

A plugin is looked for among those registered in this process, the newest first, and then among the
entry points of its kind's group.
"""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final

import attrs

from fibonacci._builtin import braces, echo, local, scripted
from fibonacci._discovery.blocked import is_blocked, tell_of_unknown_names
from fibonacci._discovery.elsewhere import counterpart
from fibonacci._discovery.installed import hidden, installed, look_again
from fibonacci._discovery.kinds import KINDS, Kind
from fibonacci._discovery.plugin import Plugin, State
from fibonacci.errors import PluginConflictError, PluginNotFoundError
from fibonacci.plugin._runtime.errors import did_you_mean


@attrs.frozen(kw_only=True)
class PluginInfo:
    """One plugin that this process could use, as :func:`plugins` lists it."""

    kind: str
    name: str
    distribution: str | None
    """None for a plugin that was registered in this process."""
    version: str | None
    state: State
    """``loaded`` and ``failed`` say how it went when the plugin was last asked for."""


class Registration:
    """A plugin registered in this process, until :meth:`undo` or the end of a ``with`` block."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        _registered.insert(0, plugin)

    def undo(self) -> None:
        """Take the plugin out again; a workflow that uses it keeps it."""
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
    Plugin(kind=KINDS["storage"], name="memory", source=lambda: local),
    Plugin(kind=KINDS["templating"], name="builtin", source=lambda: braces),
    Plugin(kind=KINDS["models"], name="echo", source=lambda: echo),
    Plugin(kind=KINDS["models"], name="scripted", source=lambda: scripted),
]


def register_plugin(kind: str, name: str, plugin: object) -> Registration:
    """Register a plugin for this process; it goes before an installed one of the same name.

    It needs no metadata: for tests, and for programs that carry none, such as frozen ones. It takes
    effect at once, and ends with ``with`` or ``.undo()``. ``plugin`` is a module or an
    object with ``FIBONACCI_SPEC_VERSION`` and the hook of its kind.

    Raises PluginNotFoundError for a kind that does not exist.
    """
    if not isinstance(name, str) or not name:
        raise PluginNotFoundError("a plugin needs a name, as text that is not empty")
    if not isinstance(kind, str) or kind not in KINDS:
        raise PluginNotFoundError(
            f"unknown kind of plugin {kind!r}.{did_you_mean(kind, KINDS)} "
            f"There are: {', '.join(KINDS)}"
        )
    return Registration(Plugin(kind=KINDS[kind], name=name, source=lambda: plugin))


def plugins() -> tuple[PluginInfo, ...]:
    """List the plugins that are installed or registered, without importing any."""
    tell_of_unknown_names(_known_names)
    found = [
        _info(plugin, "blocked" if is_blocked(plugin) else plugin.state) for plugin in _registered
    ]
    for kind in KINDS.values():
        usable = [plugin.name for plugin in installed(kind) if not is_blocked(plugin)]
        for plugin in installed(kind):
            state: State = "conflict" if usable.count(plugin.name) > 1 else plugin.state
            found.append(_info(plugin, "blocked" if is_blocked(plugin) else state))
    return tuple(sorted(found, key=lambda info: (info.kind, info.name, info.distribution or "")))


def has_plugin(kind: str, name: str) -> bool:
    """Say whether there is a plugin of this kind and name, also one that is blocked or in conflict.

    Metadata is read of this kind alone, and only where no registered plugin has the name.
    """
    return name in _registered_names(kind) or bool(_installed(kind, name))


def find_plugin(kind: str, name: str) -> Plugin:
    """Return the one plugin of this kind and name.

    Raises PluginNotFoundError where there is none, and PluginConflictError where there are two.
    """
    tell_of_unknown_names(_known_names)
    here = [plugin for plugin in _registered if (plugin.kind.name, plugin.name) == (kind, name)]
    if here and not is_blocked(here[0]):
        return here[0]
    named = here or _installed(kind, name)
    if not named:
        look_again()
        named = _installed(kind, name) or _named(hidden(KINDS[kind]), name)
    usable = [plugin for plugin in named if not is_blocked(plugin)]
    if len(usable) > 1:
        raise _conflict(usable)
    if not usable:
        raise _missing(KINDS[kind], name, blocked=bool(named))
    return usable[0]


def _installed(kind: str, name: str) -> list[Plugin]:
    return _named(installed(KINDS[kind]), name)


def _named(found: Iterable[Plugin], name: str) -> list[Plugin]:
    return [plugin for plugin in found if plugin.name == name]


def _known_names() -> Iterator[str]:
    """The names and distributions of all plugins, also of ours that are not installed."""
    for kind in KINDS.values():
        for plugin in [*_registered, *installed(kind)]:
            yield from filter(None, (plugin.name, plugin.distribution))
        for name, extra in kind.extras.items():
            yield from (name, f"fibonacci-{extra}")


def _registered_names(kind: str) -> set[str]:
    return {plugin.name for plugin in _registered if plugin.kind.name == kind}


def claimant(kind: str, text: str) -> str | None:
    """Return the longest of the names that end in "-" and that the text starts with, if any.

    A plugin that is not installed claims too, where it is one of ours: its name says what to
    install.
    """
    names = {plugin.name for plugin in installed(KINDS[kind])}
    claims = names | _registered_names(kind) | KINDS[kind].extras.keys()
    return max(
        (name for name in claims if name.endswith("-") and text.startswith(name)),
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


def _conflict(rivals: list[Plugin]) -> PluginConflictError:
    names = sorted({f"{plugin.distribution} {plugin.version}" for plugin in rivals})
    if len(names) == 1:
        return PluginConflictError(f"{rivals[0].label} names two modules in its entry points")
    count = {2: "two"}.get(len(names), str(len(names)))
    return PluginConflictError(
        f"{rivals[0].kind.short} {rivals[0].name!r} is provided by {count} distributions: "
        f"{', '.join(names)}. Uninstall one, or name it in FIBONACCI_BLOCK_PLUGINS"
    )


def _missing(kind: Kind, name: str, *, blocked: bool) -> PluginNotFoundError:
    usable = {info.name for info in plugins() if info.kind == kind.name and info.state != "blocked"}
    listing = f"Installed: {', '.join(sorted(usable)) or 'none'}."
    if blocked:
        return PluginNotFoundError(
            f"{kind.noun} {name!r} is blocked by FIBONACCI_BLOCK_PLUGINS. {listing}"
        )
    # Imported here: what it looks with costs time, and only these errors need it.
    from fibonacci._discovery import absent

    broken = absent.broken_neighbours()
    if name in kind.extras:
        way_out = absent.way_out(kind, name)
        return PluginNotFoundError(f"{kind.noun} {name!r} {way_out} {listing}{broken}")
    known = usable | kind.extras.keys()
    hint = counterpart(kind.name, name, known) or did_you_mean(name, known)
    told = hint or f" {listing}{absent.if_frozen(kind, name)}"
    return PluginNotFoundError(f"unknown {kind.noun} {name!r}.{told}{broken}")
