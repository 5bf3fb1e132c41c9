"""Calls that a signal or a cancellation interrupts: the next ones get their own results."""

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
from itertools import count
from typing import Any

import pytest

from fibonacci import MemoryManager
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.modes import AsyncMode, CallMode
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory
from fibonacci.testing.watchdog import note_progress

KEYS = [f"k{number}" for number in range(10)]


class InterruptTests(ContractFixtures):
    """C19."""

    def test_interrupted_calls(self, memory_factory: MemoryFactory, mode: CallMode) -> None:
        """After an interrupted or cancelled call, each call still gets its own result (C19)."""
        workflow = memory_factory.new_workflow()
        memory = memory_factory.memory_of(workflow)
        memory.set_many({key: [key] * 20 for key in KEYS})
        dice = random.Random(1)  # noqa: S311 - no secret

        def interrupt() -> None:
            if isinstance(mode, AsyncMode):
                mode.run(lambda: _cancel_some(workflow.memory, dice))
            else:
                _interrupt(workflow.memory, dice)

        with nullcontext() if isinstance(mode, AsyncMode) else _half_made_objects():
            for turn in range(15):
                interrupt()
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
        not_applicable("this platform interrupts no calls")
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
        # A coroutine that the signal stops before its start was never awaited, which Python
        # warns of.
        with warnings.catch_warnings(), suppress(_Interrupt):
            warnings.simplefilter("ignore", RuntimeWarning)
            _call_until(struck, memory, striker.start)
    finally:
        striker.join()
        signal.signal(signal.SIGUSR2, before)


@contextmanager
def _half_made_objects() -> Iterator[None]:
    """Let no finalizer fail the test: Python drops what a signal raises while one runs.

    And an object whose making was interrupted may have a finalizer that misses the rest of it
    (``http.client.HTTPResponse`` of Python 3.13).
    """
    hook = sys.unraisablehook

    def print_others(dropped: Any) -> None:
        if dropped.exc_type is not _Interrupt:
            sys.__unraisablehook__(dropped)  # printed, where a test runner's hook may fail the test

    sys.unraisablehook = print_others
    try:
        yield
        gc.collect()
    finally:
        sys.unraisablehook = hook


# A function of its own: in CPython 3.13, what a signal raises at a loop's jump back may pass by
# the handler of a `try` that the loop stands in.
def _call_until(struck: threading.Event, memory: MemoryManager, start: Callable[[], None]) -> None:
    start()
    while not struck.is_set():  # the interrupt itself may have been dropped
        for key in KEYS:
            assert memory.get(key) == [key] * 20
            memory.set(key, [key] * 20)


ROUNDS = range(4, 17)
"""How often each method is interrupted by each kind of exception: on slow stores less often."""

MAX_SECONDS = 0.3
"""Seconds that all rounds may take by estimate, if that allows more than the least number."""

RAISED = "raised by a signal handler"

LARGE = "x" * 10_000
TURN = "y" * 500


class TimeLimit(Exception):  # noqa: N818 - as worker queues name theirs
    """An application's own, such as the soft time limit of a worker queue."""


class SignalTests(ContractFixtures):
    """C19: signals."""

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeLimit, TimeoutError])
    def test_exceptions_of_signal_handlers(
        self, memory_factory: MemoryFactory, mode: CallMode, kind: type[BaseException]
    ) -> None:
        """What a signal handler raises comes out as it is; a change is made once at most (C19)."""
        if mode.name == "async" or not _can_interrupt():
            not_applicable("signals interrupt sync calls in the main thread, where the system can")
        workflow = memory_factory.new_workflow()
        memory_factory.memory_of(workflow)  # which wipes what the test writes
        calls, dice = _Calls(workflow.memory), random.Random(1)  # noqa: S311 - no secret
        with _alarm(kind) as alarm:
            for method in [*calls.methods] * calls.rounds():
                alarm.interrupt(calls.methods[method], dice.uniform(0, 1.1) * calls.lasts[method])
                calls.check(method, returned=alarm.raised is None)


class _Calls:
    """Calls that send numbers, large values and small ones; and what is known of the records."""

    def __init__(self, memory: MemoryManager) -> None:
        self.memory = memory
        self.methods: dict[str, Callable[[], object]] = {
            "append": self._append,
            "increment": self._increment,
            "set": lambda: memory.set("brief", LARGE, ttl=600),
            "get": self._get,
            "touch": lambda: memory.touch("brief", ttl=600),
            "list_keys": self._list,
        }
        self._turns = count()
        self._appended = 0
        self._number = 0
        memory.set_many({"brief": LARGE, "number": 0, "other": "another"})
        memory.append("turns", *[[-1, TURN]] * 20)
        self.lasts = {method: _seconds(call) for method, call in self.methods.items()}
        self._number = memory.get("number")

    def rounds(self) -> int:
        """How often to make the calls."""
        most = int(MAX_SECONDS / sum(self.lasts.values()))
        return min(max(most, ROUNDS[0]), ROUNDS[-1])

    def check(self, method: str, *, returned: bool) -> None:
        """Check what the call did, and that the next calls get their own results."""
        note_progress()
        turns, number = self.memory.get("turns"), self.memory.get("number")
        applied = {
            "append": sum(turn[0] == self._appended for turn in turns),
            "increment": number - self._number,
        }.get(method)
        self._number = number
        assert applied is None or applied == 1 or (applied == 0 and not returned), (
            f"{method} was applied {applied} times"
        )
        assert self.memory.get("other") == "another"
        assert self.memory.get_many(["other", "brief"]) == {"other": "another", "brief": LARGE}

    def _append(self) -> None:
        self._appended = next(self._turns)
        assert self.memory.append("turns", [self._appended, TURN], max_items=20) == 20

    def _increment(self) -> None:
        self.memory.increment("number", ttl=600)

    def _get(self) -> None:
        assert self.memory.get("brief") == LARGE

    def _list(self) -> None:
        assert self.memory.list_keys() == ["brief", "number", "other", "turns"]


def _seconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[1]


def _can_interrupt() -> bool:
    return hasattr(signal, "setitimer") and (threading.current_thread() is threading.main_thread())


class _Alarm:
    """Makes calls, and has a signal handler raise while they go on."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind
        self.raised: BaseException | None = None
        self.dropped: BaseException | None = None
        """By Python, as it was raised in a finalizer."""
        self._is_set = False
        """Whether a call is made. Another thread may get a signal just before the timer is stopped,
        and pass it on afterwards."""

    def ring(self, *_: object) -> None:
        """Raise, if a call is made; the signal handler."""
        if not self._is_set:
            return
        self.raised = self._kind(RAISED)
        raise self.raised

    def interrupt(self, call: Callable[[], object], delay: float) -> None:
        """Make a call; what is raised meanwhile has to come out, and nothing else may."""
        self.raised = None
        try:
            try:
                self._is_set = True
                signal.setitimer(signal.ITIMER_REAL, max(delay, 1e-6))
                call()
            finally:
                self._is_set = False
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as error:
            if error is not self.raised:
                raise
        else:
            out = self.raised is None or self.raised is self.dropped
            assert out, "what a signal handler raised was swallowed"

    def unraisable(self, hook_args: Any) -> None:
        """Take note of what Python drops."""
        if hook_args.exc_value is not self.raised:
            sys.__unraisablehook__(hook_args)
        self.dropped = hook_args.exc_value


@contextmanager
def _alarm(kind: type[BaseException]) -> Iterator[_Alarm]:
    """Set the handler; a timer of somebody else's goes on afterwards."""
    alarm, hook = _Alarm(kind), sys.unraisablehook
    rest, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    before = signal.signal(signal.SIGALRM, alarm.ring)
    sys.unraisablehook = alarm.unraisable
    gc.disable()  # Python drops what is raised in finalizers
    try:
        with warnings.catch_warnings():
            # A coroutine that the signal stops before its start was never awaited, which Python
            # warns of.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            try:
                yield alarm
            except KeyboardInterrupt as error:
                if error.args != (RAISED,):
                    raise
                # It would end the whole run.
                raise AssertionError("what a signal handler raised came out too late") from None
            finally:
                alarm.raised = alarm.dropped = None
                gc.collect()
    finally:
        gc.enable()
        sys.unraisablehook = hook
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, rest)
