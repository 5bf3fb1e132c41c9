"""Ends a test that hangs, with the stacks of where it hangs.

A thread watches the main thread, in which the test runs. If nothing has gone on there for too long,
a signal's handler raises in it: that ends a blocked read of a socket, a blocked acquire of a lock,
and an event loop that waits or is blocked. Only the main thread handles signals, and only systems
with ``pthread_kill`` can send it one; elsewhere nothing is watched. Nor does it end a call into C
that never returns to Python.
"""

import asyncio
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from types import CoroutineType, FrameType
from typing import Any, Final

import pytest

# Ignored by default, and so harmless if it arrives too late.
SIGNAL = getattr(signal, "SIGURG", None)

AFTERMATH = 2.0
"""Seconds that the rest of a test may take that was ended; it may hang again when it is closed."""

FRAMES = 12
"""The innermost frames of a stack that are shown."""

DEBUGGERS = ("bdb", "pydevd", "_pydevd_bundle")

_watching: "list[Watchdog]" = []


class PhasesPlugin:
    """Makes the watchdogs wait between the phases of a test, when pytest reports what failed.

    A failure that is raised there would end the whole run.
    """

    name: Final = "fibonacci-watchdog"

    @classmethod
    def register(cls, config: pytest.Config) -> None:
        """Register it, if this run does not have it yet."""
        if not config.pluginmanager.has_plugin(cls.name):
            config.pluginmanager.register(cls(), cls.name)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        """Watch what sets up the test."""
        with _phase():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Watch the test."""
        with _phase():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """Watch what tears it down."""
        with _phase():
            return (yield)


@contextmanager
def _phase() -> Iterator[None]:
    for watchdog in _watching:
        watchdog.resume()
    try:
        yield
    finally:
        for watchdog in _watching:
            watchdog.pause()


class Watchdog:
    """Watches the main thread during a block: it must make progress at least each ``limit`` s."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._expires = monotonic() + limit
        self._ended = False
        self._paused = False
        self._over = threading.Event()

    def __enter__(self) -> None:
        """Start to watch, if this is the main thread."""
        if SIGNAL is None or not _in_main_thread():
            return
        self._replaced = signal.signal(SIGNAL, self._end)
        _watching.append(self)
        self._thread = threading.Thread(target=self._watch, name="fibonacci-watchdog", daemon=True)
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
        """Watch no more."""
        if SIGNAL is None or self not in _watching:
            return
        self.pause()
        self._over.set()
        self._thread.join()
        _watching.remove(self)
        signal.signal(SIGNAL, self._replaced)

    def note_progress(self, factor: float) -> None:
        """Start to count again."""
        self._expires = monotonic() + factor * self._limit

    def pause(self) -> None:
        """End nothing until it is resumed."""
        self._paused = True

    def resume(self) -> None:
        """Start to count again."""
        self.note_progress(1)
        self._paused = False

    def _watch(self) -> None:
        main = threading.main_thread().ident
        assert SIGNAL is not None
        assert main is not None
        while not self._over.wait(max(self._expires - monotonic(), 0.0)):
            if monotonic() >= self._expires:
                self._expires = monotonic() + AFTERMATH  # once more, if what it raises is swallowed
                signal.pthread_kill(main, SIGNAL)

    def _end(self, _: int, frame: FrameType | None) -> None:
        if self._paused or _is_debugged():
            return
        if self._ended:
            _stop_loop()  # a loop in C logs what a handler raises, and goes on
        self._ended = True
        limit, self._limit = self._limit, min(self._limit, AFTERMATH)
        raise pytest.fail.Exception(f"no progress for {limit:g} s\n{_stacks(frame)}")


def note_progress(factor: float = 1) -> None:
    """Tell the watchdog that the test goes on; the next step may take ``factor`` limits."""
    if _watching and _in_main_thread():
        _watching[-1].note_progress(factor)


def is_hang(error: BaseException) -> bool:
    """Return whether the error of an event loop is that of a test that was ended."""
    return isinstance(error, pytest.fail.Exception) or str(error).startswith("Event loop stopped")


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_debugged() -> bool:
    trace = getattr(sys.gettrace(), "__module__", None) or ""
    return trace.partition(".")[0] in DEBUGGERS


def _stop_loop() -> None:
    with suppress(RuntimeError):  # no loop is running
        asyncio.get_running_loop().stop()


def _stacks(main: FrameType | None) -> str:
    """Return where the main thread, other threads and the tasks of the running loop are."""
    stacks = [("the main thread", traceback.extract_stack(main))]
    frames = sys._current_frames()
    stacks += [
        (f"thread {thread.name}", traceback.extract_stack(frames[thread.ident]))
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and thread.ident in frames
    ]
    stacks += [(f"task {task.get_name()}", _stack(task.get_coro())) for task in _tasks()]
    return "\n".join(
        f"{name} is at:\n{''.join(traceback.format_list(stack[-FRAMES:]))}"
        for name, stack in stacks
        if not name.endswith("fibonacci-watchdog")
    )


def _tasks() -> set["asyncio.Task[Any]"]:
    try:
        return asyncio.all_tasks()
    except RuntimeError:  # no loop is running
        return set()


def _stack(waiting: object) -> traceback.StackSummary:
    return traceback.StackSummary.extract(_frames(waiting))


def _frames(waiting: object) -> Iterator[tuple[FrameType, int]]:
    """Return the frames of a coroutine, and of all that it awaits."""
    while isinstance(waiting, CoroutineType):
        if waiting.cr_frame is not None:
            yield waiting.cr_frame, waiting.cr_frame.f_lineno
        waiting = waiting.cr_await
