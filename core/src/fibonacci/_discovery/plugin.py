"""One plugin: imported and checked when it is first used."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import attrs
import pluggy

from fibonacci._discovery.kinds import Kind
from fibonacci.errors import FibonacciError, PluginIncompatibleError, PluginLoadError
from fibonacci.plugin import hookspecs
from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin._runtime.signals import raise_for_signal

State = Literal["available", "blocked", "conflict", "loaded", "failed"]


@attrs.define(kw_only=True, eq=False)
class Plugin:
    """A plugin that was found; compared by identity.

    It has its own pluggy manager, so that no other plugin can break it.
    """

    kind: Kind
    name: str
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    """The module that the entry point names."""
    loader: Callable[[], object] = attrs.field(repr=False)
    """Imports the module, or returns the object that was registered."""
    hook: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    failed: bool = False

    @property
    def label(self) -> str:
        """How errors name it: ``backend 'redis' (fibonacci-redis 0.1.0)``."""
        origin = f"{self.distribution} {self.version}" if self.distribution else "registered here"
        return f"{self.kind.short_noun} {self.name!r} ({origin})"

    @property
    def state(self) -> State:
        """Whether it was loaded, or has failed."""
        return "failed" if self.failed else "loaded" if self.hook else "available"

    def call_hook(self, settings: object, expected: type) -> Any:
        """Call the hook and check what it returns.

        Raises PluginLoadError or PluginIncompatibleError if the plugin is at fault, and any
        FibonacciError that the hook raises.
        """
        try:
            if self.hook is None:
                self.hook = self._load()
            result = self._call(self.hook, settings, expected)
        except FibonacciError as error:
            self.failed = isinstance(error, PluginLoadError | PluginIncompatibleError)
            raise
        self.failed = False
        return result

    def _load(self) -> Callable[..., Any]:
        try:
            module = self.loader()
            version = getattr(module, "FIBONACCI_SPEC_VERSION", None)
        except (Exception, SystemExit) as error:
            raise_for_signal(error)
            hint = self._reinstall_hint() if self._own_files_are_missing(error) else ""
            raise PluginLoadError(
                f"{self.label} failed to import: {type(error).__name__}: {error}{hint}"
            ) from error
        if self.module and version is None and _is_empty(module):
            raise PluginLoadError(
                f"{self.label} failed to import: the folder {self.module} contains no code"
                f"{self._reinstall_hint()}"
            )
        self._check_version(version)
        manager = pluggy.PluginManager("fibonacci")
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module, name=f"{self.kind.name}:{self.name}")
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PluginLoadError(f"{self.label} does not fit the hook specs: {reason}") from error
        except Exception as error:
            raise PluginLoadError(
                f"{self.label} failed to load: {type(error).__name__}: {error}"
            ) from error
        hook: pluggy.HookCaller = getattr(manager.hook, self.kind.hook)
        if not hook.get_hookimpls():
            raise PluginLoadError(f"{self.label} has no hook {self.kind.hook}")
        return hook

    def _own_files_are_missing(self, error: BaseException) -> bool:
        """Return whether the plugin's own files can't be imported, rather than a driver's."""
        return (
            self.module is not None
            and isinstance(error, ImportError)
            and str(error.name).partition(".")[0] == self.module.partition(".")[0]
        )

    def _reinstall_hint(self) -> str:
        return f". Install it again: pip install --force-reinstall {self.distribution}"

    def _check_version(self, declared: object) -> None:
        ours = hookspecs.SPEC_VERSION
        if type(declared) is not int or declared < 1:
            raise PluginIncompatibleError(
                f"{self.label} does not declare a hook spec version: it needs a line "
                f"FIBONACCI_SPEC_VERSION = {ours}"
            )
        if declared > ours:
            raise PluginIncompatibleError(
                f"{self.label} requires hook spec version {declared}; this fibonacci-core supports "
                f"{ours}. Upgrade it: pip install --upgrade fibonacci-core"
            )

    def _call(self, hook: Callable[..., Any], settings: object, expected: type) -> Any:
        try:
            result = hook(settings=settings)
        except FibonacciError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises
            raise_for_signal(error)
            # Without the error's text: a driver's may quote the URL with the password.
            raise PluginLoadError(f"{self.label} failed to start: {error_origin(error)}") from None
        if not isinstance(result, expected):
            raise PluginLoadError(
                f"{self.label} returned {type(result).__name__} instead of {expected.__name__}"
            )
        return result


def _is_empty(module: object) -> bool:
    """Return whether it is a folder without code, such as an uninstall may leave."""
    return (
        isinstance(module, ModuleType)
        and hasattr(module, "__path__")
        and getattr(module, "__file__", None) is None
    )
