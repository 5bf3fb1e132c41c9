"""The ``memory`` backend on a Python without a global lock (GIL), where threads run at once."""

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any, TypeVar, cast
from weakref import WeakSet

from fibonacci._builtin.local import LocalStore
from fibonacci.plugin._runtime.forks import on_fork

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _locked(method: _Method) -> _Method:
    """Hold the lock while the method runs."""

    @wraps(method)
    def call_locked(self: "LockedStore", *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return cast("_Method", call_locked)


class LockedStore(LocalStore):
    """Records in a dict that only one thread at a time changes.

    The lock is reentrant, for a signal handler or a finalizer within a call: the atomic steps of
    LocalStore allow for those. A read is one step, and takes no lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reset_lock()
        _stores.add(self)

    def _reset_lock(self) -> None:
        """Replace the lock: a forked child has none of the threads that may hold it."""
        self._lock = RLock()

    write = _locked(LocalStore.write)
    compare_and_set = _locked(LocalStore.compare_and_set)
    remove = _locked(LocalStore.remove)
    scan = _locked(LocalStore.scan)
    touch = _locked(LocalStore.touch)
    clear = _locked(LocalStore.clear)


def _reset_after_fork() -> None:
    for store in list(_stores):
        store._reset_lock()


_stores: "WeakSet[LockedStore]" = WeakSet()
on_fork(after_in_child=_reset_after_fork)
