"""The connections of one store: as many as needed up to a limit, the last used is used next."""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import Final
from weakref import WeakSet

from fibonacci_postgres.link import Link
from fibonacci_postgres.voices import Turn, Voice, left_until

IDLE_LIMIT: Final = 60.0
"""Seconds without use after which a connection is not trusted: routers forget idle ones, and then
swallow what is sent."""


class Pool:
    """Connections to take and to give back.

    A connection that is not given back needs no clean-up: whoever drops the last reference closes
    it, and frees its place. So an exception may come anywhere, also from a signal handler. A forked
    child never closes one: psycopg looks at the process id first.
    """

    def __init__(self, limit: int, voice: Voice) -> None:
        self._limit = limit
        self._voice = voice
        self._idle: list[Link] = []
        self._open: WeakSet[Link] = WeakSet()
        # Reentrant: a signal handler may use the store while its thread is in here.
        self._lock = RLock()
        self._turns: deque[Turn] = deque()
        self._closed = False

    async def take(
        self, connect: Callable[[Link, float], Awaitable[None]], deadline: float
    ) -> Link:
        """Return a connection that is free, a new one, or wait; TimeoutError at the deadline."""
        link = await self._free(deadline)
        if link.fd < 0:
            try:
                await connect(link, deadline)
            except BaseException:
                self.drop(link)
                raise
        return link

    async def _free(self, deadline: float) -> Link:
        while True:
            turn = self._voice.turn()
            self._turns.append(turn)  # before it looks, so that it misses none
            try:
                if (link := self.idle_one() or self._place()) is not None:
                    return link
                # Not for long: a place that becomes free by itself wakes nobody.
                await turn.wait(min(left_until(deadline), 0.05))
            finally:
                with suppress(ValueError):  # whoever woke it took it out
                    self._turns.remove(turn)

    def idle_one(self) -> Link | None:
        """Return a free connection that is there already, if one is."""
        try:
            while True:
                link = self._idle.pop()
                now = monotonic()
                if self._idle:
                    self._drop_oldest(now)
                if now < link.used + IDLE_LIMIT and link.quiet():
                    link.used = now
                    return link
                self.drop(link)
        except IndexError:
            return None

    def _drop_oldest(self, now: float) -> None:
        """Close the connection that nobody needed for longest, after a burst of callers."""
        with suppress(IndexError):
            if self._idle[0].used + IDLE_LIMIT <= now:
                self.drop(self._idle.pop(0))

    def give(self, link: Link) -> None:
        """Take back a connection whose last answer was read to its end."""
        if self._closed:
            self.drop(link)
            return
        self._idle.append(link)
        if self._turns:  # a call less where nobody waits
            self._wake_one()

    def drop(self, link: Link) -> None:
        """Close a connection."""
        link.close()
        with self._lock:
            self._open.discard(link)
        self._wake_one()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self.drop(self._idle.pop())

    def _place(self) -> Link | None:
        """A connection still to be made, if there is room for one."""
        with self._lock:
            if len(self._open) >= self._limit:
                return None
            link = Link()
            self._open.add(link)
            return link

    def _wake_one(self) -> None:
        with suppress(IndexError):
            self._turns.popleft().wake()
