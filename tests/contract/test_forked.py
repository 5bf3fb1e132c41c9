"""Errors of the contract about a forked child that did not finish."""

import os
import signal
import time
from collections import deque

import pytest

from fibonacci.testing.forks import forked
from fibonacci.testing.watchdog import Watchdog


def test_a_child_that_hangs():
    """A child that hangs is killed, and the error names the time and possible causes."""
    hung = r"^the child did not end within 0\.05 s: a lock that is held"
    with pytest.raises(AssertionError, match=hung), forked(lambda: time.sleep(60), timeout=0.05):
        pass


def test_work_beside_a_child_that_hangs():
    """What goes on while the child runs ends when the child has taken too long."""
    child = forked(lambda: time.sleep(60), timeout=0.05)
    with pytest.raises(AssertionError, match=r"^the child did not end"), child:
        deque(iter(child.is_running, False))


def test_a_child_that_is_killed():
    """The error about a killed child differs from that about a hung one."""
    died = rf"^the child died \(status {signal.SIGTERM:d}\)$"
    with (
        pytest.raises(AssertionError, match=died),
        forked(lambda: os.kill(os.getpid(), signal.SIGTERM)),
    ):
        pass


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals")
def test_a_test_that_is_ended():
    """A child is killed if the watchdog ends the test that waits for it."""
    child = forked(lambda: time.sleep(60))
    with Watchdog(0.1), pytest.raises(pytest.fail.Exception, match="no progress"), child:
        pass
    assert not child.is_running()
