"""The connections of one store: as many as needed up to a limit, the last used is used next."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final
from weakref import ref

from fibonacci.plugin.runtime import IdlePool, NoThreadError, WaitQueue, submit_to_thread
from fibonacci_postgres.abandoned import end
from fibonacci_postgres.link import Link
from fibonacci_postgres.places import Places
from fibonacci_postgres.voices import Voice

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
        # None of them refers to the pool: nobody else does, so its connections go with it.
        self._idle = IdlePool[Link](max_idle=limit, max_age=IDLE_LIMIT)
        places = Places(limit, partial(_wake, ref(self)))
        self._queue = WaitQueue(partial(_next, self._idle, places), voice.waiter)

    async def take(
        self, connect: Callable[[Link, float], Awaitable[None]], deadline: float
    ) -> Link:
        """Return a connection that is free, a new one, or wait for one.

        Raises DeadlineExceeded at the deadline.
        """
        link = await self._queue.acquire(deadline)
        if link.fd < 0:
            try:
                await connect(link, deadline)
            except BaseException:
                self.drop(link)
                raise
        return link

    def idle_one(self) -> Link | None:
        """Return a free connection that is there already, if one is and nobody waits for it."""
        return None if self._queue else self._idle.pop()

    def give(self, link: Link) -> None:
        """Take back a connection whose last answer was read to its end."""
        self._idle.push(link)
        if self._queue:  # a call less where nobody waits
            self.wake()

    def drop(self, link: Link) -> None:
        """Close a connection; where the server works for it, have it stop first, in a thread."""
        if link.is_busy():
            with suppress(NoThreadError):  # no thread can be started: Python is about to end
                submit_to_thread(partial(end, link))
                return
        link.close()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._idle.close()

    def wake(self) -> None:
        """Have the first of those who wait look again."""
        self._queue.wake_first()


def _next(idle: IdlePool[Link], places: Places) -> Link | None:
    """A connection that is free, or one still to be made, if there is room for it."""
    if (link := idle.pop()) is not None:
        return link
    place = places.take()
    return None if place is None else Link(place)


def _wake(reference: "ref[Pool]") -> None:
    pool = reference()
    if pool is not None:
        pool.wake()
