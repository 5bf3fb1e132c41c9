"""Finding plugins: metadata first, import last, and only the one that was asked for.

A plugin is looked for among those registered in this process, the newest first, and then among the
entry points of its kind's group. Each that is used gets a pluggy manager of its own, so whatever
its neighbours define, break or claim can't reach it.
"""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Literal

import attrs
import pluggy

from fibonacci._builtin import local
from fibonacci.errors import (
    FibonacciError,
    PluginConflictError,
    PluginIncompatibleError,
    PluginLoadError,
    PluginNotFoundError,
)
from fibonacci.plugin import hookspecs
from fibonacci.plugin._hints import did_you_mean

State = Literal["available", "blocked", "conflict", "loaded", "failed"]


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of plugin, and the words that its errors use."""

    name: str
    hook: str
    noun: str
    short: str
    extras: dict[str, str]
    """Plugins that we publish, and the extra of fibonacci-core that installs each."""


KINDS: Final = {
    "storage": Kind(
        name="storage",
        hook="fibonacci_storage",
        noun="storage backend",
        short="backend",
        extras={name: name for name in ("redis", "postgres", "dynamodb", "sqlite")},
    ),
    "encryption": Kind(
        name="encryption",
        hook="fibonacci_encryption",
        noun="encryption",
        short="encryption",
        extras={"aes-256-gcm": "crypto"},
    ),
}


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


@attrs.define(kw_only=True, eq=False)
class Plugin:
    """A plugin that was found; compared by identity. It is imported by its first use."""

    kind: Kind
    name: str
    distribution: str | None = None
    version: str | None = None
    source: Callable[[], object] = attrs.field(repr=False)
    """Imports the module, or returns the object that was registered."""
    hook: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    failed: bool = False

    @property
    def label(self) -> str:
        """How errors name it: ``backend 'redis' (fibonacci-redis 0.1.0)``."""
        origin = f"{self.distribution} {self.version}" if self.distribution else "registered here"
        return f"{self.kind.short} {self.name!r} ({origin})"

    def ask(self, settings: object, expected: type) -> Any:
        """Call the hook and check what it returns.

        Raises PluginLoadError or PluginIncompatibleError where the plugin is at fault, and passes
        on what the hook raises of our own tree.
        """
        try:
            self.failed = True
            self.hook = self.hook or self._load()
            answer = self._call(settings, expected)
        except FibonacciError as fault:
            self.failed = isinstance(fault, PluginLoadError | PluginIncompatibleError)
            raise
        self.failed = False
        return answer

    def _load(self) -> Callable[..., Any]:
        try:
            module = self.source()
        except (Exception, SystemExit) as fault:
            raise PluginLoadError(
                f"{self.label} failed to import: {type(fault).__name__}: {fault}"
            ) from fault
        self._check_version(getattr(module, "FIBONACCI_SPEC_VERSION", None))
        manager = pluggy.PluginManager("fibonacci")
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module, name=self.name)
            manager.check_pending()
        except pluggy.PluginValidationError as fault:
            reason = str(fault).strip().splitlines()[-1]
            raise PluginLoadError(f"{self.label} does not fit the hook specs: {reason}") from fault
        hook: pluggy.HookCaller = getattr(manager.hook, self.kind.hook)
        if not hook.get_hookimpls():
            raise PluginLoadError(f"{self.label} has no hook {self.kind.hook}")
        return hook

    def _check_version(self, spoken: object) -> None:
        ours = hookspecs.SPEC_VERSION
        if type(spoken) is not int or spoken < 1:
            raise PluginIncompatibleError(
                f"{self.label} does not say which hook specs it speaks: it needs a line "
                f"FIBONACCI_SPEC_VERSION = {ours}"
            )
        if spoken > ours:
            raise PluginIncompatibleError(
                f"{self.label} speaks hook specs {spoken}, and this fibonacci-core speaks {ours}. "
                f"Upgrade it: pip install --upgrade fibonacci-core"
            )

    def _call(self, settings: object, expected: type) -> Any:
        assert self.hook is not None
        try:
            answer = self.hook(settings=settings)
        except FibonacciError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a plugin raises
            # The fault's own text stays out: a driver's may quote the URL with the password.
            raise PluginLoadError(f"{self.label} failed to start: {type(fault).__name__}") from None
        if not isinstance(answer, expected):
            raise PluginLoadError(
                f"{self.label} returned {type(answer).__name__}, where {expected.__name__} is due"
            )
        return answer

    @property
    def state(self) -> State:
        """How it went so far."""
        return "failed" if self.failed else "loaded" if self.hook else "available"


class Registration:
    """A plugin registered in this process, until :meth:`undo` or the end of a ``with`` block."""

    def __init__(self, plugin: Plugin) -> None:
        """Put the plugin in front; see :func:`register_plugin`."""
        self._plugin = plugin
        _registered.insert(0, plugin)

    def undo(self) -> None:
        """Take the plugin out again; a workflow that uses it keeps it."""
        if self._plugin in _registered:
            _registered.remove(self._plugin)

    def __enter__(self) -> "Registration":
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo the registration."""
        self.undo()


_registered: list[Plugin] = [
    Plugin(kind=KINDS["storage"], name="memory", source=lambda: local),
]
_installed: dict[tuple[str, str, str], Plugin] = {}


def register_plugin(kind: str, name: str, plugin: object) -> Registration:
    """Register a plugin for this process; it goes before an installed one of the same name.

    It takes effect at once, and ends with ``with`` or ``.undo()``. ``plugin`` is a module or an
    object with ``FIBONACCI_SPEC_VERSION`` and the hook of its kind.

    Raises PluginNotFoundError for a kind that does not exist.
    """
    if kind not in KINDS:
        raise PluginNotFoundError(
            f"unknown kind of plugin {kind!r}.{did_you_mean(kind, KINDS)} "
            f"There are: {', '.join(KINDS)}"
        )
    return Registration(Plugin(kind=KINDS[kind], name=name, source=lambda: plugin))


def plugins() -> tuple[PluginInfo, ...]:
    """List the plugins that are installed or registered, without importing any."""
    found = [_info(plugin, plugin.state) for plugin in _registered]
    for kind in KINDS.values():
        installed = _scan(kind)
        usable = [plugin.name for plugin in installed if not _is_blocked(plugin)]
        for plugin in installed:
            state: State = "conflict" if usable.count(plugin.name) > 1 else plugin.state
            found.append(_info(plugin, "blocked" if _is_blocked(plugin) else state))
    return tuple(sorted(found, key=lambda info: (info.kind, info.name, info.distribution or "")))


def find_plugin(kind: str, name: str) -> Plugin:
    """Return the one plugin of this kind and name.

    Raises PluginNotFoundError where there is none, and PluginConflictError where there are two.
    """
    for plugin in _registered:
        if (plugin.kind.name, plugin.name) == (kind, name):
            return plugin
    installed = [plugin for plugin in _scan(KINDS[kind]) if plugin.name == name]
    usable = [plugin for plugin in installed if not _is_blocked(plugin)]
    if len(usable) > 1:
        raise _conflict(usable)
    if not usable:
        raise _missing(KINDS[kind], name, blocked=bool(installed))
    return usable[0]


def _scan(kind: Kind) -> list[Plugin]:
    # Imported here: it costs 33 ms, and backend="memory" never needs it.
    import importlib_metadata

    scanned = []
    for point in importlib_metadata.entry_points(group=f"fibonacci.{kind.name}"):
        assert point.dist is not None
        distribution, version = point.dist.name, point.dist.version
        fresh = Plugin(
            kind=kind,
            name=point.name,
            distribution=distribution,
            version=version,
            source=point.load,
        )
        # The one that was loaded earlier, if it was: it knows how that went.
        scanned.append(_installed.setdefault((kind.name, point.name, distribution), fresh))
    return scanned


def _is_blocked(plugin: Plugin) -> bool:
    blocked = os.environ.get("FIBONACCI_BLOCK_PLUGINS", "").split(",")
    return not {plugin.name, plugin.distribution}.isdisjoint(name.strip() for name in blocked)


def _info(plugin: Plugin, state: State) -> PluginInfo:
    return PluginInfo(
        kind=plugin.kind.name,
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        state=state,
    )


def _conflict(rivals: list[Plugin]) -> PluginConflictError:
    names = sorted(f"{plugin.distribution} {plugin.version}" for plugin in rivals)
    count = {2: "two"}.get(len(names), str(len(names)))
    return PluginConflictError(
        f"{rivals[0].kind.short} {rivals[0].name!r} is provided by {count} distributions: "
        f"{', '.join(names)}. Uninstall one, or name it in FIBONACCI_BLOCK_PLUGINS"
    )


def _missing(kind: Kind, name: str, *, blocked: bool) -> PluginNotFoundError:
    usable = {info.name for info in plugins() if info.kind == kind.name and info.state != "blocked"}
    installed = f"Installed: {', '.join(sorted(usable)) or 'none'}."
    if blocked:
        return PluginNotFoundError(
            f"{kind.noun} {name!r} is blocked by FIBONACCI_BLOCK_PLUGINS. {installed}"
        )
    if name in kind.extras:
        return PluginNotFoundError(
            f"{kind.noun} {name!r} is not installed. "
            f"Install it: pip install 'fibonacci-core[{kind.extras[name]}]'. {installed}"
        )
    hint = did_you_mean(name, usable | kind.extras.keys())
    return PluginNotFoundError(f"unknown {kind.noun} {name!r}.{hint or f' {installed}'}")
