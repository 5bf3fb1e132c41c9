"""What a contract tells of a forked child that did not come to its end."""

import os
import signal
import time

import pytest

from fibonacci.testing.store.lifecycle import forked


def test_a_child_that_hangs():
    """It is killed, and the error says how long it was waited for, and what it may be."""
    hung = r"^the child did not end within 0\.05 s: a lock that is held"
    with pytest.raises(AssertionError, match=hung), forked(lambda: time.sleep(60), timeout=0.05):
        pass


def test_a_child_that_is_killed():
    """One that somebody else ended is told from one that hung."""
    died = rf"^the child died \(status {signal.SIGTERM:d}\)$"
    with (
        pytest.raises(AssertionError, match=died),
        forked(lambda: os.kill(os.getpid(), signal.SIGTERM)),
    ):
        pass
