"""One object for each event loop, closed with its loop."""

import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from fibonacci.plugin._runtime import forks

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Objects that belong to an event loop each, such as its connections.

    A loop that ends as ``asyncio.run`` ends one closes its object first; while it runs, an object
    is closed as well when its registry is let go. A loop that is closed without notice can't do
    that: what it leaves is closed when the next loop comes, by ``abandon``, which may not wait.
    """

    def __init__(
        self, close: Callable[[T], Awaitable[None]], abandon: Callable[[T], object]
    ) -> None:
        self._close: Final = close
        self._abandon: Final = abandon
        self._entries: dict[AbstractEventLoop, _Entry[T]] = {}

    def get(self) -> T | None:
        """Return the running loop's object."""
        entry = self._entries.get(_get_running_loop()())
        return None if entry is None else entry.value

    def add(self, value: T) -> None:
        """Keep an object for the running loop, which has none yet."""
        loop = _get_running_loop()()
        self._abandon_orphans()
        held = [value]
        ending = _close_with_loop(held, self._close, weakref.ref(self))
        self._entries[loop] = _Entry(value, held, ending)
        _start(ending)

    def pop_all(self) -> "list[tuple[AbstractEventLoop, T]]":
        """Take out all objects with their loops: closing them is the caller's from now on."""
        return [(loop, value) for loop in list(self._entries) for value in self._pop(loop)]

    async def close_for(self, loop: "AbstractEventLoop") -> None:
        """Close a loop's object, in that loop."""
        for value in self._pop(loop):
            await self._close(value)

    def leave_to_parent(self) -> None:
        """Begin anew in a forked child: no object is closed there, and no loop woken for it."""
        forks.keep_alive_in_child(*self._entries.values())
        self.pop_all()

    def _abandon_orphans(self) -> None:
        for loop in [loop for loop in list(self._entries) if loop.is_closed()]:
            for value in self._pop(loop):
                self._abandon(value)

    def _pop(self, loop: "AbstractEventLoop") -> list[T]:
        entry = self._entries.pop(loop, None)
        return [] if entry is None else _take(entry.held)

    def _forget(self, held: list[T]) -> None:
        for loop, entry in list(self._entries.items()):
            if entry.held is held:
                self._entries.pop(loop, None)


@attrs.frozen(eq=False)
class _Entry(Generic[T]):
    value: T
    held: list[T]
    """The same, until somebody takes it to close it: its loop, or whoever popped it."""
    ending: AsyncGenerator[None, None]
    """A loop holds its generators weakly."""


def _take(held: list[T]) -> list[T]:
    """Return the object, to one caller only."""
    try:
        return [held.pop()]
    except IndexError:
        return []


async def _close_with_loop(
    held: list[T], close: Callable[[T], Awaitable[None]], registry: "weakref.ref[PerLoop[T]]"
) -> AsyncGenerator[None, None]:
    """Close the object when the loop ends: it finishes the generators that it knows."""
    try:
        yield
    finally:
        if (entries := registry()) is not None:
            entries._forget(held)
        for value in _take(held):
            await close(value)


def _start(ending: AsyncGenerator[None, None]) -> None:
    """Run it up to its ``yield``, which takes no waiting; the running loop knows it then."""
    with suppress(StopIteration):
        ending.asend(None).send(None)


@cache
def _get_running_loop() -> "Callable[[], AbstractEventLoop]":
    import asyncio  # only async programs pay for it: 62 ms

    return asyncio.get_running_loop
