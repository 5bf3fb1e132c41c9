"""Errors of the contract about a forked child that did not finish."""

import os
import signal
import time
from collections import deque

import pytest

from fibonacci.testing.forks import forked


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


class Interrupted(forked):
    """A child for which nobody waits: a signal's handler raises at once."""

    def is_running(self):
        raise KeyboardInterrupt


def test_a_wait_that_is_interrupted():
    """A child is killed if what waits for it is interrupted, as by a watchdog."""
    child = Interrupted(lambda: time.sleep(60))
    with pytest.raises(KeyboardInterrupt), child:
        pass
    assert not forked.is_running(child)
