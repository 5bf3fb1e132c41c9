"""Objects that all users of one key in a process share."""

from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from fibonacci.plugin._runtime.forks import on_fork


class Resettable(Protocol):
    """An object that can begin anew in a forked child."""

    def reset_after_fork(self) -> object:
        """Leave connections and locks to the parent; see ``leave_to_parent``."""


S = TypeVar("S", bound=Resettable)


class SharedByKey(Generic[S]):
    """The objects in use by key: made by the first user, let go with the last.

    It lives as long as the process: make one for a module. In a forked child each object's
    ``reset_after_fork`` is called.
    """

    def __init__(self) -> None:
        self._objects: WeakValueDictionary[Hashable, S] = WeakValueDictionary()
        self._lock = RLock()
        on_fork(after_in_child=self._reset)

    def get(self, key: Hashable, make: Callable[[], S]) -> S:
        """Return the object of this key; make it, if nobody uses one."""
        with self._lock:
            found = self._objects.get(key)
            if found is None:
                found = self._objects[key] = make()
            return found

    def _reset(self) -> None:
        self._lock = RLock()  # another thread of the parent may have held it
        for one in list(self._objects.values()):
            one.reset_after_fork()
