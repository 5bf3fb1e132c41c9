"""SIGALRM that raises, for tests of interrupted calls."""

import gc
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Alarm(BaseException):
    """Raised by the signal: not an Exception, and unknown to drivers."""


@contextmanager
def alarms() -> Iterator[None]:
    """Make SIGALRM raise, and ignore Python's warnings about what that leaves behind.

    No garbage is collected, as Python ignores exceptions meanwhile. A verb that was called and
    not yet started, when the signal comes, is a coroutine never awaited; and what was opened
    and not yet returned is open when it becomes garbage.
    """

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            warnings.filterwarnings("ignore", "unclosed ", ResourceWarning)
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                gc.collect()
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)
