"""What a forked child must not share with its parent."""

from contextlib import suppress
from threading import RLock
from typing import Final, Protocol
from weakref import WeakSet

from fibonacci.plugin.runtime import on_fork

FORK_TIMEOUT: Final = 5.0
"""Seconds that a fork waits for a derivation at most."""


class Resettable(Protocol):
    """An object with a lock or a session."""

    def reset_after_fork(self) -> None:
        """Replace the lock or the session."""
        ...


_resettables: "WeakSet[Resettable]" = WeakSet()


def reset_in_children(resettable: Resettable) -> None:
    """Have it reset in each forked child, before anything else runs there."""
    _resettables.add(resettable)


def _reset_after_fork() -> None:
    for resettable in list(_resettables):
        resettable.reset_after_fork()


class ForkSafeLock:
    """A lock that a fork waits for, and that is free in the child.

    OpenSSL has internal locks and no fork hooks: a child that is forked while another thread
    fetches Argon2 hangs when it derives a key itself. In an experiment one child in 30 did.
    """

    def __init__(self, timeout: float = FORK_TIMEOUT) -> None:
        """Have forks wait up to ``timeout`` seconds."""
        self._timeout = timeout
        # Reentrant, as a signal handler may fork in the thread that derives.
        self.lock = RLock()

    def guard_forks(self) -> None:
        """Have all forks wait for the lock from now on, which keeps it for the whole process."""
        on_fork(
            before=self.acquire_before_fork,
            after_in_parent=self.release_after_fork,
            after_in_child=self.reset_after_fork,
        )

    def acquire_before_fork(self) -> None:
        """Wait until no derivation runs."""
        self.lock.acquire(timeout=self._timeout)

    def release_after_fork(self) -> None:
        """Release the lock in the parent."""
        with suppress(RuntimeError):  # the fork timed out, and another thread has the lock
            self.lock.release()

    def reset_after_fork(self) -> None:
        """Replace the lock in the child: the thread that held it does not exist there."""
        self.lock = RLock()


on_fork(after_in_child=_reset_after_fork)
