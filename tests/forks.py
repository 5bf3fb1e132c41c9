"""Helpers for tests of forks: work in children, and a lock that is held over forks."""

import os
import time
import traceback
from collections.abc import Callable
from threading import RLock

import pytest


def in_child(work: Callable[[], object]) -> None:
    """Run the work in a forked child; it must return something true within a minute."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    for _ in range(6_000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hangs")


def lock_over_forks() -> RLock:
    """A lock that is acquired before a fork: else a child could wait for it forever."""
    lock = RLock()
    os.register_at_fork(
        before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
    )
    return lock
