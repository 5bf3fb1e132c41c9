"""Slots: each is the right to one connection, so that the server never sees more than a limit."""

from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import ref


class ConnectionSlot:
    """The right to one connection, for as long as this object is referenced."""

    __slots__ = ("__weakref__",)


class ConnectionSlots:
    """A fixed number of slots: the server never sees more connections than that.

    A slot is free again when its object is collected, whatever happened to its holder. So an
    exception may be raised anywhere, even by a signal handler, with no clean-up. No lock is needed
    either: each change of the table is one step of the interpreter's C code.
    """

    def __init__(self, count: int, on_release: Callable[[], object]) -> None:
        """``on_release`` is called whenever a slot has become free, from any thread."""
        self._numbers: Final = range(count)
        self._on_release: Final = on_release
        self._acquired: dict[int, tuple[ref[ConnectionSlot], ref[ConnectionSlot]]] = {}

    def acquire(self) -> ConnectionSlot | None:
        """Return a slot, or None if all are in use."""
        if len(self._acquired) == len(self._numbers):
            return None
        slot = ConnectionSlot()
        # Another thread may claim each of them first.
        claimed = any(self._claim(number, slot) for number in self._numbers)
        return slot if claimed else None

    def _claim(self, number: int, slot: ConnectionSlot) -> bool:
        # Callbacks run in reverse order of registration: the slot is freed, then it is announced.
        # They are not one Python function: a signal handler could raise before its first line.
        announced = ref(slot, self._announce)
        freed = ref(slot, partial(self._acquired.pop, number))
        entry = freed, announced
        return self._acquired.setdefault(number, entry) is entry

    def _announce(self, _: object) -> None:
        self._on_release()
