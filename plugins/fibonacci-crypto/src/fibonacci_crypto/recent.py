"""A table that forgets what was not asked for lately."""

from collections import OrderedDict
from threading import RLock
from typing import Generic, TypeVar

from fibonacci_crypto.forks import renew_in_children

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A dict of bounded size, for threads: what was used least recently goes first."""

    def __init__(self, size: int) -> None:
        """Hold at most ``size`` entries."""
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()
        # Reentrant, as a signal's handler may read a record in the midst of a look-up.
        self._lock = RLock()
        renew_in_children(self)

    def renew(self) -> None:
        """Take a new lock: a thread that held it was not forked."""
        self._lock = RLock()

    def __contains__(self, name: K) -> bool:
        """Say whether it is there, without using it."""
        return name in self._entries

    def get(self, name: K) -> V | None:
        """Return what is there, as the most recently used; None if nothing is."""
        with self._lock:
            found = self._entries.get(name)
            if found is not None:
                self._entries.move_to_end(name)
            return found

    def put(self, name: K, entry: V) -> None:
        """Keep an entry."""
        with self._lock:
            self._entries[name] = entry
            self._entries.move_to_end(name)
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
