"""Objects that many callers share: one for each key, one for each event loop."""

import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import suppress
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import attrs

from fibonacci.plugin._runtime.forks import keep_alive_in_child, on_fork

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Resettable(Protocol):
    """An object that can be reset in a forked child."""

    def reset_after_fork(self) -> object:
        """Abandon the parent's connections and locks; see ``keep_alive_in_child``."""


S = TypeVar("S", bound=Resettable)


class SharedObjects(Generic[S]):
    """Objects shared by key: created for the first user, released with the last.

    It lives as long as the process: create it at module level. In a forked child each object's
    ``reset_after_fork`` is called.
    """

    def __init__(self) -> None:
        self._objects: WeakValueDictionary[Hashable, S] = WeakValueDictionary()
        self._lock = RLock()
        on_fork(after_in_child=self._reset)

    def get_or_create(self, key: Hashable, create: Callable[[], S]) -> S:
        """Return the object of this key; create it if it is not in use."""
        with self._lock:
            found = self._objects.get(key)
            if found is None:
                found = self._objects[key] = create()
            return found

    def _reset(self) -> None:
        self._lock = RLock()  # another thread of the parent may have held it
        for shared in list(self._objects.values()):
            shared.reset_after_fork()


T = TypeVar("T")


class LoopLocal(Generic[T]):
    """One object for each event loop, such as its connections.

    A loop that shuts down its async generators, as ``asyncio.run`` does, first closes its object
    with ``close``. An object is also closed if the LoopLocal is collected while the loop runs. A
    loop that is closed in another way can't close its object: ``close_nowait``, which must not
    wait, closes it when the next loop gets an object.
    """

    def __init__(
        self, close: Callable[[T], Awaitable[None]], close_nowait: Callable[[T], object]
    ) -> None:
        self._close: Final = close
        self._close_nowait: Final = close_nowait
        self._entries: dict[AbstractEventLoop, _Entry[T]] = {}

    def get(self) -> T | None:
        """Return the running loop's object, or None."""
        entry = self._entries.get(_get_running_loop()())
        return None if entry is None else entry.value

    def set(self, value: T) -> None:
        """Set the object of the running loop, which has none yet."""
        loop = _get_running_loop()()
        self._close_orphans()
        held = [value]
        ending = _close_with_loop(held, self._close, weakref.ref(self))
        self._entries[loop] = _Entry(value, held, ending)
        _start(ending)

    def pop_all(self) -> "list[tuple[AbstractEventLoop, T]]":
        """Remove and return all objects with their loops; the caller closes them."""
        return [(loop, value) for loop in list(self._entries) for value in self._pop(loop)]

    async def close_for(self, loop: "AbstractEventLoop") -> None:
        """Close a loop's object, in that loop."""
        for value in self._pop(loop):
            await self._close(value)

    def reset_after_fork(self) -> None:
        """Forget the parent's objects in a forked child, without closing one or waking its loop."""
        keep_alive_in_child(*self._entries.values())
        self.pop_all()

    def _close_orphans(self) -> None:
        for loop in [loop for loop in list(self._entries) if loop.is_closed()]:
            for value in self._pop(loop):
                self._close_nowait(value)

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
    """The value, until it is taken to be closed: by its loop, or by a caller of ``pop_all``."""
    ending: AsyncGenerator[None, None]
    """A loop holds its generators weakly."""


def _take(held: list[T]) -> list[T]:
    """Return the object, to one caller only."""
    try:
        return [held.pop()]
    except IndexError:
        return []


async def _close_with_loop(
    held: list[T], close: Callable[[T], Awaitable[None]], registry: "weakref.ref[LoopLocal[T]]"
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
    """Run it up to its ``yield``, which does not wait; then the running loop knows it."""
    with suppress(StopIteration):
        ending.asend(None).send(None)


@cache
def _get_running_loop() -> "Callable[[], AbstractEventLoop]":
    import asyncio  # only async programs pay for it: 62 ms

    return asyncio.get_running_loop
