"""The connections of one store: as many as needed, up to a limit; the last used is reused first."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final
from weakref import ref

from fibonacci.plugin.runtime import IdlePool, NoThreadError, WaitQueue, submit_to_thread
from fibonacci_postgres.abandoned import cancel_and_close
from fibonacci_postgres.connection import Connection
from fibonacci_postgres.slots import ConnectionSlots
from fibonacci_postgres.waiting import WaitStrategy

IDLE_TIMEOUT: Final = 60.0
"""Seconds without use after which a connection is replaced: routers drop idle connections, and then
swallow what is sent."""

_log: Final = logging.getLogger("fibonacci.postgres")


class ConnectionPool:
    """A pool of connections, with the method names of psycopg_pool.

    A connection that is not put back needs no clean-up: the interpreter closes it with its last
    reference, and its slot is free. So an exception may be raised anywhere, even by a signal
    handler. A forked child never closes its parent's connections: psycopg compares process ids.
    """

    def __init__(self, max_connections: int, strategy: WaitStrategy) -> None:
        # None of these refers to the pool, so its connections are freed together with it.
        self._idle = IdlePool[Connection](
            max_idle=max_connections, max_age=IDLE_TIMEOUT, logger=_log, server="PostgreSQL"
        )
        slots = ConnectionSlots(max_connections, partial(_wake_pool, ref(self)))
        self._queue = WaitQueue(partial(_acquire, self._idle, slots), strategy.waiter)

    async def getconn(
        self, connect: Callable[[Connection, float], Awaitable[None]], deadline: float
    ) -> Connection:
        """Return an idle connection or a new one, or wait until a connection is free.

        Raises DeadlineExceeded at the deadline, and what ``connect`` raises.
        """
        connection = await self._queue.acquire(deadline)
        if connection.fd < 0:
            try:
                await connect(connection, deadline)
            except BaseException:
                self.discard(connection)
                raise
        return connection

    def pop_idle(self) -> Connection | None:
        """Return an idle connection; None if there is none, or if other callers wait for one."""
        return None if self._queue else self._idle.pop()

    def putconn(self, connection: Connection) -> None:
        """Take back a connection whose last response was read completely."""
        self._idle.push(connection)
        if self._queue:  # saves a call when nobody waits
            self.wake_next()

    def discard(self, connection: Connection) -> None:
        """Close a connection; if the server is still busy with it, cancel and wait in a thread."""
        is_executing = connection.is_executing()
        if is_executing:
            _log.debug("cancelling a statement whose caller has left")
        if is_executing or connection.is_connecting():
            with suppress(NoThreadError):  # no thread can be started: the interpreter shuts down
                submit_to_thread(partial(cancel_and_close, connection))
                return
        connection.close()

    def close(self) -> None:
        """Close idle connections; those in use are closed when they are put back."""
        self._idle.close()

    def wake_next(self) -> None:
        """Have the first waiting caller look for a connection again."""
        self._queue.wake_first()


def _acquire(idle: IdlePool[Connection], slots: ConnectionSlots) -> Connection | None:
    """Return an idle connection, or one that is not connected yet if a slot is free."""
    if (connection := idle.pop()) is not None:
        return connection
    slot = slots.acquire()
    return None if slot is None else Connection(slot)


def _wake_pool(reference: "ref[ConnectionPool]") -> None:
    pool = reference()
    if pool is not None:
        pool.wake_next()
