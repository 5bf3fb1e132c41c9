"""A bounded cache for threads."""

from collections import OrderedDict
from threading import RLock
from typing import Generic, TypeVar

from fibonacci_crypto.forks import reset_in_children

K = TypeVar("K")
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """A thread-safe mapping of bounded size that evicts the least recently used entry."""

    def __init__(self, max_size: int) -> None:
        """Hold at most ``max_size`` entries."""
        self._max_size = max_size
        self._entries: OrderedDict[K, V] = OrderedDict()
        # Reentrant, as a signal handler may read a record during a lookup.
        self._lock = RLock()
        reset_in_children(self)

    def reset_after_fork(self) -> None:
        """Replace the lock: the thread that held it does not exist in the child."""
        self._lock = RLock()

    def __contains__(self, key: K) -> bool:
        """Return whether the key is present, without marking it as used."""
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Return the value and mark it as most recently used; None if there is none."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def put(self, key: K, value: V) -> None:
        """Store a value as the most recently used."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_size:
                self._entries.popitem(last=False)
