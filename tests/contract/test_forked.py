"""Errors of the contract about a forked child that did not finish."""

import os
import signal
import time

import pytest

from fibonacci.testing.forks import forked


def test_a_child_that_hangs():
    """A child that hangs is killed, and the error names the time and possible causes."""
    hung = r"^the child did not end within 0\.05 s: a lock that is held"
    with pytest.raises(AssertionError, match=hung), forked(lambda: time.sleep(60), timeout=0.05):
        pass


def test_a_child_that_is_killed():
    """The error about a killed child differs from that about a hung one."""
    died = rf"^the child died \(status {signal.SIGTERM:d}\)$"
    with (
        pytest.raises(AssertionError, match=died),
        forked(lambda: os.kill(os.getpid(), signal.SIGTERM)),
    ):
        pass
