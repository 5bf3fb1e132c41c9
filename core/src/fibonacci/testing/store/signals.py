"""Signal handlers that raise in the midst of calls: the exception comes out, and as it is."""

import gc
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from fibonacci import MemoryManager
from fibonacci.testing.modes import CallMode
from fibonacci.testing.store.bench import Bench, Opener

ROUNDS = range(4, 17)
"""How often each verb is interrupted by each kind of exception: on slow stores less often."""

PATIENCE = 0.3
"""Seconds for more than the least rounds."""

RAISED = "raised by a signal handler"

LARGE = "x" * 10_000
TURN = "y" * 500


class TimeLimit(Exception):  # noqa: N818 - as worker queues name theirs
    """An application's own, such as the soft time limit of a worker queue."""


class Signals(Bench):
    """C19: signals."""

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeLimit, TimeoutError])
    def test_exceptions_of_signal_handlers(
        self, opener: Opener, mode: CallMode, kind: type[BaseException]
    ) -> None:
        """What a signal handler raises comes out as it is; a change is made once at most (C19)."""
        if mode.name == "async" or not _can_interrupt():
            pytest.skip("signals interrupt sync calls in the main thread, where the system has any")
        workflow = opener.workflow()
        opener.speak(workflow)  # which wipes what the test writes
        calls, dice = _Calls(workflow.memory), random.Random(1)  # noqa: S311 - no secret
        with _alarm(kind) as alarm:
            for verb in [*calls.verbs] * calls.rounds():
                alarm.interrupt(calls.verbs[verb], dice.uniform(0, 1.1) * calls.lasts[verb])
                calls.check(verb, returned=alarm.raised is None)


class _Calls:
    """Calls that send numbers, large values and small ones; and what is known of the records."""

    def __init__(self, memory: MemoryManager) -> None:
        self.memory = memory
        self.verbs: dict[str, Callable[[], object]] = {
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
        self.lasts = {verb: _seconds(call) for verb, call in self.verbs.items()}
        self._number = memory.get("number")

    def rounds(self) -> int:
        """How often to make the calls."""
        most = int(PATIENCE / sum(self.lasts.values()))
        return min(max(most, ROUNDS[0]), ROUNDS[-1])

    def check(self, verb: str, *, returned: bool) -> None:
        """See what the call did, and that the next answers are their askers' own."""
        turns, number = self.memory.get("turns"), self.memory.get("number")
        applied = {
            "append": sum(turn[0] == self._appended for turn in turns),
            "increment": number - self._number,
        }.get(verb)
        self._number = number
        assert applied is None or applied == 1 or (applied == 0 and not returned), (
            f"{verb} was made {applied} times"
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

    def ring(self, *_: object) -> None:
        """Raise; the signal handler."""
        self.raised = self._kind(RAISED)
        raise self.raised

    def interrupt(self, call: Callable[[], object], delay: float) -> None:
        """Make a call; what is raised meanwhile has to come out, and nothing else may."""
        self.raised = None
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, max(delay, 1e-6))
                call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as fault:
            if fault is not self.raised:
                raise
        else:
            out = self.raised is None or self.raised is self.dropped
            assert out, "what a signal handler raised was swallowed"

    def unraisable(self, told: Any) -> None:
        """Take note of what Python drops."""
        if told.exc_value is not self.raised:
            sys.__unraisablehook__(told)
        self.dropped = told.exc_value


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
            # Of a verb that was called and not yet begun.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            try:
                yield alarm
            except KeyboardInterrupt as fault:
                if fault.args != (RAISED,):
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
