"""The ``memory`` backend on a Python without a global lock (GIL), where threads run at once."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any, TypeVar, cast
from weakref import WeakSet

from fibonacci._builtin.local import LocalStore
from fibonacci.plugin._runtime.forks import on_fork

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def _alone(verb: _Verb) -> _Verb:
    """Keep other threads out while the verb runs."""

    @wraps(verb)
    def alone(self: "LockedStore", *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return verb(self, *args, **kwargs)

    return cast("_Verb", alone)


class LockedStore(LocalStore):
    """Records in a dict that one thread at a time changes.

    The lock lets its own thread in again, for a signal handler or a finalizer in mid-call: those
    are what the steps of LocalStore's changes are made for. A read is one step, and takes no lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unlock()
        _all.add(self)

    def _unlock(self) -> None:
        """Begin with a lock that nobody has: a forked child has none of its parent's threads."""
        self._lock = RLock()

    write = _alone(LocalStore.write)
    compare_and_set = _alone(LocalStore.compare_and_set)
    remove = _alone(LocalStore.remove)
    scan = _alone(LocalStore.scan)
    touch = _alone(LocalStore.touch)
    clear = _alone(LocalStore.clear)


def _unlock_all() -> None:
    for store in list(_all):
        store._unlock()


_all: "WeakSet[LockedStore]" = WeakSet()
on_fork(after_in_child=_unlock_all)
