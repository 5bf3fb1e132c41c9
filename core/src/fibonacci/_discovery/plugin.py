"""One plugin: imported, checked and asked when it is first used, and not before."""

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

    It gets a pluggy manager of its own, so whatever its neighbours define, break or claim can't
    reach it.
    """

    kind: Kind
    name: str
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    """The module that the entry point names."""
    source: Callable[[], object] = attrs.field(repr=False)
    """Imports the module, or returns the object that was registered."""
    hook: Callable[..., Any] | None = attrs.field(default=None, repr=False)
    failed: bool = False

    @property
    def label(self) -> str:
        """How errors name it: ``backend 'redis' (fibonacci-redis 0.1.0)``."""
        origin = f"{self.distribution} {self.version}" if self.distribution else "registered here"
        return f"{self.kind.short} {self.name!r} ({origin})"

    @property
    def state(self) -> State:
        """How it went so far."""
        return "failed" if self.failed else "loaded" if self.hook else "available"

    def ask(self, settings: object, expected: type) -> Any:
        """Call the hook and check what it returns.

        Raises PluginLoadError or PluginIncompatibleError where the plugin is at fault, and passes
        on what the hook raises of our own tree.
        """
        try:
            if self.hook is None:
                self.hook = self._load()
            answer = self._call(self.hook, settings, expected)
        except FibonacciError as fault:
            self.failed = isinstance(fault, PluginLoadError | PluginIncompatibleError)
            raise
        self.failed = False
        return answer

    def _load(self) -> Callable[..., Any]:
        try:
            module = self.source()
            version = getattr(module, "FIBONACCI_SPEC_VERSION", None)
        except (Exception, SystemExit) as fault:
            raise_for_signal(fault)
            again = self._again() if self._lacks_own(fault) else ""
            raise PluginLoadError(
                f"{self.label} failed to import: {type(fault).__name__}: {fault}{again}"
            ) from fault
        if self.module and version is None and _is_empty(module):
            raise PluginLoadError(
                f"{self.label} failed to import: the folder {self.module} holds no code"
                f"{self._again()}"
            )
        self._check_version(version)
        manager = pluggy.PluginManager("fibonacci")
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module, name=f"{self.kind.name}:{self.name}")
            manager.check_pending()
        except pluggy.PluginValidationError as fault:
            reason = str(fault).strip().splitlines()[-1]
            raise PluginLoadError(f"{self.label} does not fit the hook specs: {reason}") from fault
        except Exception as fault:
            raise PluginLoadError(
                f"{self.label} failed to load: {type(fault).__name__}: {fault}"
            ) from fault
        hook: pluggy.HookCaller = getattr(manager.hook, self.kind.hook)
        if not hook.get_hookimpls():
            raise PluginLoadError(f"{self.label} has no hook {self.kind.hook}")
        return hook

    def _lacks_own(self, fault: BaseException) -> bool:
        """Say whether the plugin's own files are what can't be imported, rather than a driver."""
        return (
            self.module is not None
            and isinstance(fault, ImportError)
            and str(fault.name).partition(".")[0] == self.module.partition(".")[0]
        )

    def _again(self) -> str:
        return f". Install it again: pip install --force-reinstall {self.distribution}"

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

    def _call(self, hook: Callable[..., Any], settings: object, expected: type) -> Any:
        try:
            answer = hook(settings=settings)
        except FibonacciError:
            raise
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - whatever a plugin raises
            # The fault's own text stays out: a driver's may quote the URL with the password.
            raise PluginLoadError(f"{self.label} failed to start: {error_origin(fault)}") from None
        if not isinstance(answer, expected):
            raise PluginLoadError(
                f"{self.label} returned {type(answer).__name__}, where {expected.__name__} is due"
            )
        return answer


def _is_empty(module: object) -> bool:
    """Say whether it is a folder without code, such as an uninstall leaves behind."""
    return (
        isinstance(module, ModuleType)
        and hasattr(module, "__path__")
        and getattr(module, "__file__", None) is None
    )
