"""SIGALRM that raises, for tests of calls that are broken off midway."""

import gc
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Alarm(BaseException):
    """What the signal raises: no Exception, and unknown to any driver."""


@contextmanager
def alarms() -> Iterator[None]:
    """Have SIGALRM raise; no garbage is collected, as Python drops what is raised meanwhile."""

    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    gc.disable()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.enable()
        signal.signal(signal.SIGALRM, before)
