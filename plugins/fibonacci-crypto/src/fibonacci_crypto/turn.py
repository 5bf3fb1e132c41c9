"""The lock of those who derive keys: one at a time, and none amid a fork."""

from contextlib import suppress
from threading import RLock
from typing import Final

from fibonacci.plugin.runtime import on_fork

PATIENCE: Final = 5.0
"""Seconds that a fork waits at most."""


class Turn:
    """A lock that a fork waits for, and that is free in the child.

    OpenSSL has locks of its own and no fork hooks: a child that is forked while another thread
    looks Argon2 up there waits for ever when it derives a key itself. Experiment: one child in 30.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        """Have forks wait so many seconds, and go on then."""
        self._patience = patience
        # Reentrant, as a signal's handler may fork in the thread that derives.
        self.lock = RLock()

    def hold(self) -> None:
        """Before a fork: let a derivation come to its end."""
        self.lock.acquire(timeout=self._patience)

    def release(self) -> None:
        """After a fork, in the parent."""
        with suppress(RuntimeError):  # patience was at its end, and the lock is another thread's
            self.lock.release()

    def renew(self) -> None:
        """After a fork, in the child: whoever had the lock is not there."""
        self.lock = RLock()


DERIVING: Final = Turn()

on_fork(before=DERIVING.hold, after_in_parent=DERIVING.release, after_in_child=DERIVING.renew)
