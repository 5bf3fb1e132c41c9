"""Work in a forked child, whose errors reach the test."""

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Self

from fibonacci.testing.applicability import NOT_APPLICABLE

NO_FORK = f"{NOT_APPLICABLE}this platform has no fork"

FORK_TIMEOUT = 15.0
"""Seconds that a child may take; one that hangs is killed."""


class forked:  # noqa: N801 - reads as a statement
    """Run work in a forked child during the block, and raise what it raised."""

    def __init__(self, work: Callable[[], None], timeout: float = FORK_TIMEOUT) -> None:
        self._work = work
        self._timeout = timeout
        self._status: int | None = None

    def __enter__(self) -> Self:
        """Fork."""
        self._expires = time.monotonic() + self._timeout
        self._report, writing = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forks while threads run; that they do no harm is what is tested.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child = os.fork()
        if not self._child:
            _run_child(self._work, writing)
        os.close(writing)
        return self

    def is_running(self) -> bool:
        """Return whether the child has neither ended nor taken too long."""
        return not self._has_ended() and time.monotonic() < self._expires

    def __exit__(self, *raised: object) -> None:
        """Wait for the child."""
        with os.fdopen(self._report) as report:
            try:
                message = self._wait()
            finally:
                self._kill()  # also if a watchdog ends the test
            message += report.read()
        if self._status:
            raise AssertionError(message or f"the child died (status {self._status})")

    def _wait(self) -> str:
        """Wait for the child; return what is wrong with it if it does not end in time."""
        while self.is_running():
            time.sleep(0.002)
        if self._has_ended():
            return ""
        return (
            f"the child did not end within {self._timeout:g} s: "
            f"a lock that is held at the fork stays locked in the child"
        )

    def _has_ended(self) -> bool:
        if self._status is None:
            ended, status = os.waitpid(self._child, os.WNOHANG)
            self._status = status if ended else None
        return self._status is not None

    def _kill(self) -> None:
        if not self._has_ended():
            os.kill(self._child, signal.SIGKILL)
            _, self._status = os.waitpid(self._child, 0)


def _run_child(work: Callable[[], None], report: int) -> None:
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - reported to the parent
        os.write(report, traceback.format_exc()[-4_000:].encode())
    finally:
        os._exit(code)
