"""One object for each event loop, closed with its loop."""

import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Objects that belong to an event loop each, such as its connections.

    A loop that ends as ``asyncio.run`` ends one closes its object first. One that is closed
    without notice can't: what it leaves is closed when the next loop comes, by ``abandon``, which
    may not wait.
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
        """Keep an object for the running loop."""
        loop = _get_running_loop()()
        self._close_orphans()
        ending = _close_with_loop(weakref.ref(self), loop)
        self._entries[loop] = _Entry(value, ending)
        _start(ending)

    def pop_all(self) -> "list[tuple[AbstractEventLoop, T]]":
        """Take out all objects with their loops: closing them is the caller's from now on."""
        taken = []
        while self._entries:
            with suppress(KeyError):  # another thread is doing the same
                loop, entry = self._entries.popitem()
                taken.append((loop, entry.value))
        return taken

    async def close_for(self, loop: "AbstractEventLoop") -> None:
        """Close a loop's object, in that loop."""
        entry = self._entries.pop(loop, None)
        if entry is not None:
            await self._close(entry.value)

    def _close_orphans(self) -> None:
        for loop in [loop for loop in list(self._entries) if loop.is_closed()]:
            entry = self._entries.pop(loop, None)
            if entry is not None:
                self._abandon(entry.value)


class _Entry(Generic[T]):
    def __init__(self, value: T, ending: AsyncGenerator[None, None]) -> None:
        self.value = value
        self.ending = ending  # a loop holds its generators weakly


async def _close_with_loop(
    registry: "weakref.ref[PerLoop[T]]", loop: "AbstractEventLoop"
) -> AsyncGenerator[None, None]:
    """Close the object when the loop ends: it finishes the generators that it knows."""
    try:
        yield
    finally:
        if (entries := registry()) is not None:
            await entries.close_for(loop)


def _start(ending: AsyncGenerator[None, None]) -> None:
    """Run it up to its ``yield``, which takes no waiting; the running loop knows it then."""
    with suppress(StopIteration):
        ending.asend(None).send(None)


@cache
def _get_running_loop() -> "Callable[[], AbstractEventLoop]":
    import asyncio  # only async programs pay for it: 62 ms

    return asyncio.get_running_loop
