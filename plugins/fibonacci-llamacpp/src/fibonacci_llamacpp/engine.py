"""A model of this process: loaded once for each file, and let go with its last user."""

import weakref
from functools import partial
from math import inf
from pathlib import Path
from threading import RLock
from typing import Final

from fibonacci.errors import ModelError
from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    SharedObjects,
    SingleFlight,
    TaskWaiter,
    run_in_thread,
    seconds_left,
)
from fibonacci_llamacpp.server import Server


class Engine:
    """A file of weights, and the server for it once somebody has asked."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._loading: SingleFlight[Server] = SingleFlight(TaskWaiter)
        self._server: Server | None = None
        self._ending: weakref.finalize[[], Engine] | None = None

    @property
    def is_ready(self) -> bool:
        """Say whether :meth:`server` returns at once."""
        server = self._server  # once: another thread may be replacing it
        return server is not None and server.is_ready and server.is_running

    def server(self, deadline: float | None) -> Server:
        """Return the server, with the model loaded; start it if it does not run.

        Raises ModelError, and DeadlineExceeded at the deadline; then it goes on loading.
        """
        if not self._lock.acquire(timeout=seconds_left(deadline) or -1):
            raise DeadlineExceeded
        try:
            server = self._server
            if server is None or not server.is_running:
                server = self._start()
            server.wait(seconds_left(deadline))
        except ModelError:
            self._stop()
            raise
        finally:
            self._lock.release()
        return server

    async def aserver(self, deadline: float | None) -> Server:
        """Return the same in an event loop, which goes on while the model is loaded."""
        if not self.is_ready:
            load = partial(run_in_thread, partial(self.server, deadline))
            await self._loading.do(load, deadline=inf if deadline is None else deadline)
        return self.server(deadline)

    def _start(self) -> Server:
        self._stop()
        self._server = Server(self._weights)
        self._ending = weakref.finalize(self, self._server.stop)
        return self._server

    def _stop(self) -> None:
        if self._ending is not None:
            self._ending()
        self._server = self._ending = None

    def reset_after_fork(self) -> None:
        """Start anew, in a forked child; the parent's server is the parent's."""
        if self._server is not None and self._ending is not None:
            self._ending.detach()
            self._server.leave_to_parent()
        self._begin()


def shared_engine(weights: Path) -> Engine:
    """Return this process's engine for the file."""
    return _engines.get_or_create(weights, lambda: Engine(weights))


_engines: Final = SharedObjects[Engine]()
