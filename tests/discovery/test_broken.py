"""Broken plugins, each in its own way: the error names the plugin, and others work."""

import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import fibonacci
from fibonacci import (
    ConfigurationError,
    FibonacciError,
    MemoryConfig,
    PluginConflictError,
    PluginIncompatibleError,
    PluginLoadError,
    Workflow,
    register_plugin,
)
from fibonacci.plugin import hookimpl

Install = Callable[..., Path]

CANARY = "canary-3f9a"

HOOK = """
from fibonacci.plugin import hookimpl
FIBONACCI_SPEC_VERSION = 1

@hookimpl
def fibonacci_storage(settings):
    {}
"""


def state_of(name: str) -> str:
    (state,) = [info.state for info in fibonacci.plugins() if info.name == name]
    return state


def test_a_plugin_whose_import_fails_is_named(install: Install):
    """A failed import is an error with the documented text, chained to its cause."""
    install("toy-x", storage={"x": "toy_x"}, toy_x="import a_missing_driver")
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig("x"))
    assert str(caught.value) == (
        "backend 'x' (toy-x 1.0) failed to import: "
        "ModuleNotFoundError: No module named 'a_missing_driver'"
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert state_of("x") == "failed"


def test_a_known_plugin_whose_import_fails_is_not_missing(install: Install):
    """An installed plugin whose import fails gets another error than a missing one."""
    install("fibonacci-redis", "0.1.0", storage={"redis": "toy_redis"}, toy_redis="import no_redis")
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig("redis", "redis://localhost"))
    assert str(caught.value) == (
        "backend 'redis' (fibonacci-redis 0.1.0) failed to import: "
        "ModuleNotFoundError: No module named 'no_redis'"
    )


def test_a_broken_plugin_does_not_affect_others(install: Install):
    """Memory and a working plugin work before and after the broken one was loaded."""
    install("toy-broken", storage={"broken": "toy_broken"}, toy_broken="import a_missing_driver")
    install("toy-good", storage={"good": "toy_good"}, toy_good=None)
    memory = Workflow("w").memory
    good = Workflow("w", MemoryConfig("good")).memory
    good.set("k", 1)
    with pytest.raises(PluginLoadError):
        Workflow("w", MemoryConfig("broken"))
    assert good.get("k") == 1
    assert Workflow("w", MemoryConfig("good")).memory.set("k", 2)
    assert memory.set("k", 1)
    assert Workflow("w").memory.get("k") == 1


def test_a_broken_plugin_is_loaded_again_on_the_next_use(install: Install, site: Path):
    """A plugin works without a restart once its driver is installed."""
    install("toy-late", storage={"late": "toy_late"}, toy_late="from toy_late_driver import *")
    with pytest.raises(PluginLoadError):
        Workflow("w", MemoryConfig("late"))
    assert state_of("late") == "failed"
    source = (Path(__file__).parent / "toys" / "toy_shelf.py").read_text()
    (site / "toy_late_driver.py").write_text(source)
    sys.path_importer_cache.clear()
    assert Workflow("w", MemoryConfig("late")).memory.set("k", 1)
    assert state_of("late") == "loaded"


@pytest.mark.parametrize(
    ("name", "source", "error"),
    [
        ("quits", "raise SystemExit(3)", "SystemExit: 3"),
        ("exits", "import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("divides", "1 / 0", "ZeroDivisionError: division by zero"),
        ("recurs", "def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("garbled", "def", "SyntaxError: invalid syntax (toy_garbled.py, line 1)"),
        (
            "configures",
            "import fibonacci.errors as e; raise e.ConfigurationError('no')",
            "ConfigurationError: no",
        ),
    ],
)
def test_any_exception_of_an_import_becomes_one_error(
    install: Install, name: str, source: str, error: str
):
    """SystemExit and other exceptions of an import become one error; the program goes on."""
    install(f"toy-{name}", storage={name: f"toy_{name}"}, **{f"toy_{name}": source})
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig(name))
    assert str(caught.value) == f"backend {name!r} (toy-{name} 1.0) failed to import: {error}"


def test_an_interrupted_import_is_an_interruption(install: Install):
    """KeyboardInterrupt during an import passes through."""
    install("toy-ctrl-c", storage={"ctrl-c": "toy_ctrl_c"}, toy_ctrl_c="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Workflow("w", MemoryConfig("ctrl-c"))


@pytest.mark.parametrize(
    ("name", "target", "error"),
    [
        ("nowhere", "toy_nowhere_at_all", "ModuleNotFoundError: No module named"),
        ("less", "toy_less:plugin", "AttributeError: module 'toy_less' has no attribute 'plugin'"),
        ("prose", "not a module!", ""),
    ],
)
def test_an_entry_point_without_a_target_is_named(
    install: Install, name: str, target: str, error: str
):
    """An entry point whose module is missing from the wheel raises like a failed import."""
    install(f"toy-{name}", storage={name: target}, **{f"toy_{name}": ""})
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig(name))
    assert str(caught.value).startswith(
        f"backend {name!r} (toy-{name} 1.0) failed to import: {error}"
    )


def test_a_newer_version_of_the_hook_specs_is_refused(install: Install):
    """The error names both versions, and what to upgrade."""
    install("toy-new", "3.1", storage={"new": "toy_new"}, toy_new="FIBONACCI_SPEC_VERSION = 2")
    with pytest.raises(PluginIncompatibleError) as caught:
        Workflow("w", MemoryConfig("new"))
    assert str(caught.value) == (
        "backend 'new' (toy-new 3.1) requires hook spec version 2; this fibonacci-core supports 1. "
        "Upgrade it: pip install --upgrade fibonacci-core"
    )
    assert state_of("new") == "failed"
    assert Workflow("w").memory.set("k", 1)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mute", ""),
        ("true", "FIBONACCI_SPEC_VERSION = True"),
        ("text", "FIBONACCI_SPEC_VERSION = '1'"),
        ("zero", "FIBONACCI_SPEC_VERSION = 0"),
        ("minus", "FIBONACCI_SPEC_VERSION = -1"),
        ("float", "FIBONACCI_SPEC_VERSION = 1.0"),
        ("none", "FIBONACCI_SPEC_VERSION = None"),
    ],
)
def test_an_invalid_spec_version_is_refused(install: Install, name: str, line: str):
    """A plugin's spec version must be a whole number, 1 or more."""
    install(f"toy-{name}", storage={name: f"toy_{name}"}, **{f"toy_{name}": line})
    with pytest.raises(PluginIncompatibleError) as caught:
        Workflow("w", MemoryConfig(name))
    assert str(caught.value) == (
        f"backend {name!r} (toy-{name} 1.0) does not declare a hook spec version: "
        f"it needs a line FIBONACCI_SPEC_VERSION = 1"
    )


def test_a_misspelt_hook_is_named(install: Install):
    """A hook that core does not know is an error that names it."""
    source = HOOK.format("pass").replace("fibonacci_storage", "fibonacci_storag")
    install("toy-typo", storage={"typo": "toy_typo"}, toy_typo=source)
    with pytest.raises(
        PluginLoadError,
        match=r"'typo' \(toy-typo 1\.0\) does not fit the hook specs: .*fibonacci_storag\b",
    ):
        Workflow("w", MemoryConfig("typo"))
    assert state_of("typo") == "failed"


def test_a_hook_with_an_unknown_argument_is_named(install: Install):
    """The error names the hook and the argument."""
    source = HOOK.format("pass").replace("settings", "settings, flavour")
    install("toy-args", storage={"args": "toy_args"}, toy_args=source)
    with pytest.raises(
        PluginLoadError,
        match=r"^backend 'args' \(toy-args 1\.0\) does not fit the hook specs: .*flavour",
    ):
        Workflow("w", MemoryConfig("args"))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("idle", "FIBONACCI_SPEC_VERSION = 1"),
        (
            "plain",
            "FIBONACCI_SPEC_VERSION = 1\ndef fibonacci_storage(settings): raise SystemExit",
        ),
        ("other", HOOK.format("pass").replace("fibonacci_storage", "fibonacci_encryption")),
    ],
)
def test_a_plugin_without_the_hook_of_its_kind_is_refused(install: Install, name: str, source: str):
    """A plugin without a hook, without @hookimpl, or with only another kind's hook is refused."""
    install(f"toy-{name}", storage={name: f"toy_{name}"}, **{f"toy_{name}": source})
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig(name))
    assert str(caught.value) == (f"backend {name!r} (toy-{name} 1.0) has no hook fibonacci_storage")


@pytest.mark.parametrize(
    ("name", "body", "returned"),
    [
        ("nothing", "return None", "NoneType"),
        ("number", "return 42", "int"),
        ("class", "from fibonacci.plugin import Backend; return Backend", "ABCMeta"),
        ("settings", "return settings", "StoreSettings"),
    ],
)
def test_a_hook_that_returns_the_wrong_type_is_refused(
    install: Install, name: str, body: str, returned: str
):
    """The error says what the hook returned, and what is required."""
    install(f"toy-{name}", storage={name: f"toy_{name}"}, **{f"toy_{name}": HOOK.format(body)})
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig(name))
    assert str(caught.value) == (
        f"backend {name!r} (toy-{name} 1.0) returned {returned} instead of Backend"
    )
    assert state_of(name) == "failed"


def test_an_exception_of_a_hook_is_raised_without_its_text(install: Install):
    """C23: an exception of a hook may quote the URL: the error has only its type and line."""
    body = "raise RuntimeError(f'can not parse {settings.url.password}')"
    install("toy-loud", storage={"loud": "toy_loud"}, toy_loud=HOOK.format(body))
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig("loud", f"loud://u:{CANARY}@h"))
    assert str(caught.value) == (
        "backend 'loud' (toy-loud 1.0) failed to start: RuntimeError, in line 7 of toy_loud"
    )
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_encryption_key_stays_out_of_exceptions_of_a_hook(install: Install):
    """C23: the keys that a cipher refuses appear nowhere."""
    source = HOOK.format("raise ValueError(settings.keys)").replace("_storage", "_encryption")
    install("toy-tells", encryption={"tells": "toy_tells"}, toy_tells=source)
    with pytest.raises(PluginLoadError) as caught:
        Workflow("w", MemoryConfig(encrypt_values=True, encryption_key=CANARY, encryption="tells"))
    assert str(caught.value) == (
        "encryption 'tells' (toy-tells 1.0) failed to start: ValueError, in line 7 of toy_tells"
    )
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_hook_that_quits_does_not_end_the_program(install: Install):
    """SystemExit in a hook is an error of the plugin, as in its import."""
    body = "raise SystemExit(3)"
    install("toy-leaves", storage={"leaves": "toy_leaves"}, toy_leaves=HOOK.format(body))
    with pytest.raises(PluginLoadError, match="failed to start: SystemExit"):
        Workflow("w", MemoryConfig("leaves"))


def test_a_configuration_error_of_the_hook_passes_through(install: Install):
    """A hook's ConfigurationError passes unchanged: a plugin checks its URL and options itself."""
    body = "from fibonacci.errors import ConfigurationError; raise ConfigurationError('no shelf')"
    install("toy-checks", storage={"checks": "toy_checks"}, toy_checks=HOOK.format(body))
    with pytest.raises(ConfigurationError, match=r"^no shelf$"):
        Workflow("w", MemoryConfig("checks"))


class FragileProperty:
    FIBONACCI_SPEC_VERSION = 1

    @property
    def driver(self) -> object:
        raise RuntimeError("not yet")


class FragileListing:
    FIBONACCI_SPEC_VERSION = 1

    def __dir__(self) -> list[str]:
        raise RuntimeError("not yet")


@pytest.mark.parametrize("kind", [FragileProperty, FragileListing])
def test_an_object_that_breaks_on_inspection_is_named(kind: type):
    """An exception raised while core looks for hooks is an error of the plugin."""
    with (
        register_plugin("storage", "fragile", kind()),
        pytest.raises(PluginLoadError, match="'fragile'"),
    ):
        Workflow("w", MemoryConfig("fragile"))


def test_a_module_whose_version_breaks_on_access_is_named(install: Install):
    """An exception of a module-level ``__getattr__`` is an error of the plugin."""
    source = "def __getattr__(name):\n    import a_missing_driver"
    install("toy-lazy", storage={"lazy": "toy_lazy"}, toy_lazy=source)
    with pytest.raises(PluginLoadError, match=r"'lazy' \(toy-lazy 1\.0\)"):
        Workflow("w", MemoryConfig("lazy"))


def test_a_backend_that_creates_no_store_raises_without_the_password():
    """C23: an exception of ``create_store()`` does not leak the driver's text."""
    from fibonacci.plugin import Backend, hookimpl

    class Loud(Backend):
        def create_store(self):
            raise RuntimeError(f"redis://u:{CANARY}@h is not there")

    @hookimpl
    def fibonacci_storage(settings):
        return Loud()

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    with register_plugin("storage", "loud-store", plugin):
        memory = Workflow("w", MemoryConfig("loud-store")).memory
    with pytest.raises(FibonacciError) as caught:
        memory.get("k")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "metadata", [None, "", "Metadata-Version: 2.1\nName: toy-half\n", "Version: 1.0\n\xff"]
)
def test_broken_metadata_does_not_affect_others(install: Install, metadata):
    """Metadata of a half-finished uninstall does not break other plugins."""
    left = install("toy-half", storage={"half": "toy_half"}, toy_half=None)
    if metadata is None:
        (left / "METADATA").unlink()
    else:
        (left / "METADATA").write_text(metadata, encoding="latin-1")
    install("toy-whole", storage={"whole": "toy_whole"}, toy_whole=None)
    assert Workflow("w", MemoryConfig("whole")).memory.set("k", 1)
    assert "whole" in {info.name for info in fibonacci.plugins()}


@pytest.mark.parametrize(
    "points",
    [b"[fibonacci.storage]\njust words\n", b"[fibonacci.storage]\ncaf\xe9 = x\n", b"\x00\x01\n"],
)
def test_unreadable_entry_points_do_not_affect_others(install: Install, points: bytes):
    """Unreadable entry points affect only their distribution."""
    left = install("toy-smudged", storage={"smudged": "toy_smudged"}, toy_smudged=None)
    (left / "entry_points.txt").write_bytes(points)
    install("toy-clean", storage={"clean": "toy_clean"}, toy_clean=None)
    assert Workflow("w", MemoryConfig("clean")).memory.set("k", 1)
    assert "clean" in {info.name for info in fibonacci.plugins()}


def test_a_duplicate_entry_point_is_no_conflict(install: Install):
    """An entry point that is twice in one wheel's metadata is one plugin."""
    left = install("toy-stutter", storage={"stutter": "toy_stutter"}, toy_stutter=None)
    text = "[fibonacci.storage]\nstutter = toy_stutter\nstutter = toy_stutter\n"
    (left / "entry_points.txt").write_text(text)
    assert Workflow("w", MemoryConfig("stutter")).memory.set("k", 1)


def test_two_modules_for_one_plugin_are_refused(install: Install):
    """A distribution that names two modules for a plugin is refused; none is guessed."""
    left = install("toy-forked", storage={"forked": "toy_forked"}, toy_forked=None, toy_other=None)
    text = "[fibonacci.storage]\nforked = toy_forked\nforked = toy_other\n"
    (left / "entry_points.txt").write_text(text)
    with pytest.raises(PluginConflictError) as caught:
        Workflow("w", MemoryConfig("forked"))
    assert str(caught.value) == (
        "backend 'forked' (toy-forked 1.0) names two modules in its entry points"
    )


def test_exception_of_a_signal_handler_passes_a_hook():
    """What a signal handler raises during a hook comes out as it is, not as a PluginLoadError."""

    class RangError(Exception):
        pass

    def ring(*_: object) -> None:
        raise RangError

    @hookimpl
    def fibonacci_storage(settings):
        signal.raise_signal(signal.SIGUSR1)

    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with register_plugin("storage", "rung", plugin), pytest.raises(RangError):
            Workflow("w", MemoryConfig("rung"))
    finally:
        signal.signal(signal.SIGUSR1, before)
