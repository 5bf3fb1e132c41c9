"""Ciphers that break under threads or forks."""

import os
import time
from threading import Lock

from broken_ciphers.entry import Counting, Sound, broken


@broken("test_child_seals_differently")
class CountsOnAfterAFork(Counting):
    """A process counts nonces, and its children continue from the same number."""

    @property
    def start(self):
        return int.from_bytes(os.urandom(11), "big")


@broken("test_threads")
class CountsWithoutALock(Sound):
    """Two threads may use the same number."""

    def __init__(self, keys):
        super().__init__(keys)
        self.number = int.from_bytes(os.urandom(11), "big")

    def nonce(self):
        number = self.number + 1
        time.sleep(0)
        self.number = number
        return number.to_bytes(12, "big")


@broken("test_threads")
class OneAtATime(Sound):
    """The address of the record being opened is stored where another thread may overwrite it."""

    def open(self, sealed, aad):
        self.aad = aad
        time.sleep(0)
        return super().open(sealed, self.aad)


@broken("test_fork_while_sealing")
class LocksForEver(Sound):
    """A child that is forked while a thread holds the lock waits for it forever."""

    fork_timeout = 0.5

    def __init__(self, keys):
        super().__init__(keys)
        self.lock = Lock()

    def seal(self, plain, aad):
        with self.lock:
            time.sleep(0.001)
            return super().seal(plain, aad)
