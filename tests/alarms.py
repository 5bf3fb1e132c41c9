"""SIGALRM that raises, for tests of calls that are broken off midway."""

import gc
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Alarm(BaseException):
    """What the signal raises: no Exception, and unknown to any driver."""


@contextmanager
def alarms() -> Iterator[None]:
    """Have SIGALRM raise, and Python tell of nothing that this leaves behind.

    No garbage is collected, as Python drops what is raised meanwhile. A verb that was called and
    not yet begun, when the signal comes, is a coroutine that was never awaited; and what was opened
    and not yet given to anybody is open when it is let go.
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
