"""The watchdog of the suites ends a call that hangs, and shows where it hangs."""

import asyncio
import bdb
import signal
import socket
import sys
import threading
import time

import pytest

from fibonacci.testing.modes import AsyncMode, CallPair, SyncMode
from fibonacci.testing.threads import run_concurrently
from fibonacci.testing.watchdog import Watchdog, note_progress

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads"
)

LIMIT = 0.3


def wait_for_a_reply():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


def wait_for_a_lock():
    lock = threading.Lock()
    with lock:
        lock.acquire()


async def wait_for_an_event():
    await asyncio.Event().wait()


async def block_the_loop():
    wait_for_a_lock()


SYNC = [wait_for_a_reply, wait_for_a_lock]
ASYNC = [wait_for_an_event, block_the_loop]


def ended(call):
    """Return the message of the failure that ends the call."""
    with Watchdog(LIMIT), pytest.raises(pytest.fail.Exception) as raised:
        call()
    message = str(raised.value)
    assert f"no progress for {LIMIT} s" in message
    return message


@pytest.mark.parametrize("work", SYNC)
def test_sync_call(work):
    """A sync call that hangs fails, with the line where it hangs."""
    with SyncMode() as mode:
        message = ended(lambda: mode.call(CallPair(work, wait_for_an_event)))
    assert f"in {work.__name__}" in message


@pytest.mark.parametrize("work", ASYNC)
def test_async_call(work):
    """An async call that hangs fails with the task's stack, and the loop can be used again."""
    mode = AsyncMode()
    message = ended(lambda: mode.run(work))
    assert f"in {work.__name__}" in message
    assert mode.run(lambda: asyncio.sleep(0, 1)) == 1
    assert mode.run(other_tasks) == set()
    mode.close()


async def other_tasks():
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_threads():
    """Concurrent threads that hang are left behind, and their stacks are in the failure."""
    message = ended(lambda: run_concurrently([wait_for_a_lock, wait_for_a_reply, list]))
    assert "in wait_for_a_lock" in message
    assert "in wait_for_a_reply" in message


def test_swallowed():
    """A call that swallows the failure, and hangs again, is ended nevertheless."""

    def swallow():
        with pytest.raises(pytest.fail.Exception):
            wait_for_a_lock()
        wait_for_a_lock()

    with Watchdog(LIMIT), pytest.raises(pytest.fail.Exception, match="in swallow"):
        swallow()


def test_progress():
    """A test that makes progress may take longer than the limit."""
    with Watchdog(1):
        for _ in range(12):
            note_progress()
            time.sleep(0.1)


def test_afterwards():
    """The watchdog leaves neither a thread nor a signal handler."""
    before, threads = signal.getsignal(signal.SIGURG), threading.active_count()
    with Watchdog(LIMIT):
        assert signal.getsignal(signal.SIGURG) != before
    assert signal.getsignal(signal.SIGURG) == before
    assert threading.active_count() == threads


def test_debugger():
    """A debugger's prompt may last as long as its user likes."""
    before, debugger = sys.gettrace(), bdb.Bdb()
    debugger.reset()
    with Watchdog(LIMIT):
        sys.settrace(debugger.trace_dispatch)
        try:
            time.sleep(2 * LIMIT)
        finally:
            sys.settrace(before)


def test_in_a_thread():
    """Outside the main thread nothing is watched, and nothing fails."""
    raised = []

    def work():
        with Watchdog(0.01):
            note_progress()
            time.sleep(0.1)
        raised.append(None)

    run_concurrently([work])
    assert raised == [None]


CONFTEST = """
import time

import pytest
from fibonacci.testing import watchdog

watchdog.AFTERMATH = 0.1

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call):
    report = yield
    if report.failed:
        time.sleep(0.5)
    return report
"""

HANGING = """
import threading

import pytest
from fibonacci.testing.modes import ModeFixtures

class TestHanging(ModeFixtures):
    modes = ("sync",)
    hang_slack = 0.5
    longest_call = classmethod(lambda cls: 0.5)

    @pytest.fixture
    def hanging(self):
        yield
        threading.Event().wait()

    def test_call(self, mode):
        threading.Event().wait()

    def test_tear_down(self, mode, hanging):
        pass
"""


def test_slow_report(pytester):
    """pytest may take its time to report a test that was ended, and the run goes on."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(HANGING)
    run = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    run.assert_outcomes(passed=1, failed=1, errors=1)
    run.stdout.no_fnmatch_line("INTERNALERROR*")
