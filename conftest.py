"""Options, fixtures and the selection for all tests of the workspace."""

import asyncio
import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, given, settings, strategies

ROOT = Path(__file__).parent

pytest_plugins = ("services.fixtures",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--long`` and ``--uvloop``."""
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")
    parser.addoption("--uvloop", action="store_true", help="make all event loops by uvloop")


def pytest_configure(config: pytest.Config) -> None:
    """Restore SIGINT, which a shell ignores for background commands and their children.

    A worker of pytest's is measured; the programs that its tests start are not: servers, mostly.
    Nor is the process that hands out the tests, from here on: it runs none of them.
    """
    # How long an example takes is the machine's affair; hypothesis would fail the test for it.
    patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("any machine", **patient)
    settings.load_profile("any machine")
    if config.getoption("--uvloop"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    if hasattr(config, "workerinput"):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    elif config.getoption("numprocesses", None) and (measured := Coverage.current()):
        measured.stop()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip files of which a lane of the gate runs nothing: importing them takes time."""
    if collection_path.suffix != ".py":
        return None
    bare = _is_bare(collection_path) or "mark.bare" in collection_path.read_text("utf-8")
    apart = {"bare": not bare, "not bare": _is_bare(collection_path)}
    return apart.get(config.getoption("markexpr")) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that run without coverage, and deselect the long ones."""
    for item in items:
        if _is_bare(item.path):
            item.add_marker("bare")
        elif hasattr(getattr(item, "cls", None), "fibonacci_contract"):
            raise pytest.UsageError(f"{item.path}: suites belong to files named test_contract*.py")
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude a million objects of modules and tests from garbage collection.

    Each collection would traverse them, and a forked child's would copy them.
    """
    gc.disable()
    result = yield
    # An old hypothesis calls gc.get_referrers on its random source, when it runs first.
    given(strategies.none())(lambda _: None)()
    gc.freeze()
    gc.enable()
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Collect a test's garbage right after it, if it ignores Python's warnings about it."""
    if any("Unraisable" in str(mark.args) for mark in item.iter_markers("filterwarnings")):
        gc.collect()


def _is_bare(path: Path) -> bool:
    """Return whether it is a suite or a test of faults: signals in mid-call, forks beside threads.

    Tests that cover no line of ours which others miss are bare, too: they mostly wait.
    """
    apart = {"apps", "contract", "documented", "faults", "services_tests"}
    return bool(apart & set(path.parts) - set(ROOT.parts)) or path.stem.startswith("test_contract")
