"""Calls that are broken off midway: the next ones still get their own answers."""

import asyncio
import gc
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest

from fibonacci import MemoryManager
from fibonacci.testing.modes import AsyncMode, CallMode
from fibonacci.testing.store.bench import Bench, Opener

KEYS = [f"k{number}" for number in range(10)]


class Interrupted(Bench):
    """C19."""

    def test_interrupted_calls(self, opener: Opener, mode: CallMode) -> None:
        """After a call was interrupted or cancelled, each answer is still the asker's own (C19)."""
        workflow = opener.workflow()
        memory = opener.speak(workflow)
        memory.set_many({key: [key] * 20 for key in KEYS})
        dice = random.Random(1)  # noqa: S311 - no secret

        def break_off() -> None:
            if isinstance(mode, AsyncMode):
                mode.run(lambda: _cancel_some(workflow.memory, dice))
            else:
                _interrupt(workflow.memory, dice)

        with nullcontext() if isinstance(mode, AsyncMode) else _half_made_objects():
            for turn in range(15):
                break_off()
                key = KEYS[turn % len(KEYS)]
                assert memory.get(key) == [key] * 20
                assert memory.get_many(KEYS) == {key: [key] * 20 for key in KEYS}
        assert memory.list_keys() == KEYS


async def _cancel_some(memory: MemoryManager, dice: random.Random) -> None:
    async def work(key: str) -> None:
        while True:
            assert await memory.aget(key) == [key] * 20
            await memory.aset(key, [key] * 20)
            await asyncio.sleep(0)  # in-process stores never wait

    tasks = [asyncio.create_task(work(key)) for key in KEYS]
    await asyncio.sleep(dice.uniform(0, 0.003))
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended


class _Interrupt(BaseException):
    pass


def _interrupt(memory: MemoryManager, dice: random.Random) -> None:
    if not hasattr(signal, "pthread_kill") or threading.current_thread() is not (
        threading.main_thread()
    ):
        pytest.skip("this platform interrupts no calls")
    delay, main, struck = dice.uniform(0, 0.003), threading.get_ident(), threading.Event()

    def strike() -> None:
        time.sleep(delay)
        signal.pthread_kill(main, signal.SIGUSR2)

    def interrupt(*_: Any) -> None:
        struck.set()
        raise _Interrupt

    before = signal.signal(signal.SIGUSR2, interrupt)
    striker = threading.Thread(target=strike)
    try:
        # A verb that was called and not yet begun, when the signal comes, says so.
        with warnings.catch_warnings(), suppress(_Interrupt):
            warnings.simplefilter("ignore", RuntimeWarning)
            _ask_until(struck, memory, striker.start)
    finally:
        striker.join()
        signal.signal(signal.SIGUSR2, before)


@contextmanager
def _half_made_objects() -> Iterator[None]:
    """Let no finalizer fail the test: Python drops what a signal raises while one runs.

    And an object whose making was interrupted may have a finalizer that misses the rest of it
    (``http.client.HTTPResponse`` of Python 3.13).
    """
    tell = sys.unraisablehook

    def tell_of_others(dropped: Any) -> None:
        if dropped.exc_type is not _Interrupt:
            sys.__unraisablehook__(dropped)  # printed, where a test runner's hook may fail the test

    sys.unraisablehook = tell_of_others
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = tell


# A function of its own: in CPython 3.13, what a signal raises at a loop's jump back may pass by
# the handler of a `try` that the loop stands in.
def _ask_until(struck: threading.Event, memory: MemoryManager, start: Callable[[], None]) -> None:
    start()
    while not struck.is_set():  # the interrupt itself may have been dropped
        for key in KEYS:
            assert memory.get(key) == [key] * 20
            memory.set(key, [key] * 20)
