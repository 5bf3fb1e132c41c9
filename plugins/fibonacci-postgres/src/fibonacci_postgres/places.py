"""A fixed number of places for connections: the server never sees more than that."""

from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import ref


class Place:
    """A right to one connection, as long as somebody holds this object."""

    __slots__ = ("__weakref__",)


class Places:
    """Places to take. One is free again when its object is gone, whatever became of its holder.

    So an exception may come anywhere, also from a signal handler: no clean-up is needed. No lock is
    taken either: each change of the table is one step of the interpreter's C code.
    """

    def __init__(self, count: int, freed: Callable[[], object]) -> None:
        """``freed`` is called whenever a place has become free, from any thread."""
        self._numbers: Final = range(count)
        self._freed: Final = freed
        self._taken: dict[int, tuple[ref[Place], ref[Place]]] = {}

    def take(self) -> Place | None:
        """Return a place, or None if all are taken."""
        if len(self._taken) == len(self._numbers):
            return None
        place = Place()
        # Another thread may be faster with each.
        taken = any(self._claim(number, place) for number in self._numbers)
        return place if taken else None

    def _claim(self, number: int, place: Place) -> bool:
        # The callback that was registered last is called first: the place is free, then it is told.
        # Not one function in Python for both: a signal handler could raise before its first line.
        told = ref(place, self._tell)
        freed = ref(place, partial(self._taken.pop, number))
        entry = freed, told
        return self._taken.setdefault(number, entry) is entry

    def _tell(self, _: object) -> None:
        self._freed()
