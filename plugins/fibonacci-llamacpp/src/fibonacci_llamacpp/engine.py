"""A model of this process: loaded once for each file, and let go with its last user."""

import os
import weakref
from pathlib import Path
from threading import RLock

from fibonacci.errors import ModelError
from fibonacci_llamacpp.deadline import left
from fibonacci_llamacpp.server import Server


class Engine:
    """A file of weights, and the server for it once somebody has asked."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._server: Server | None = None
        self._ending: weakref.finalize[[], Engine] | None = None

    @property
    def is_ready(self) -> bool:
        """Say whether :meth:`server` returns at once."""
        server = self._server  # once: another thread may be replacing it
        return server is not None and server.is_ready and server.is_running

    def server(self, deadline: float | None) -> Server:
        """Return the server, with the model loaded; start it if it does not run.

        Raises ModelError, and TimeoutError at the deadline; then it goes on loading.
        """
        if not self._lock.acquire(timeout=left(deadline) or -1):
            raise TimeoutError
        try:
            server = self._server
            if server is None or not server.is_running:
                server = self._start()
            server.wait(left(deadline))
        except ModelError:
            self._stop()
            raise
        finally:
            self._lock.release()
        return server

    def _start(self) -> Server:
        self._stop()
        self._server = Server(self._weights)
        self._ending = weakref.finalize(self, self._server.stop)
        return self._server

    def _stop(self) -> None:
        if self._ending is not None:
            self._ending()
        self._server = self._ending = None

    def begin_in_child(self) -> None:
        """Start anew, in a forked child; the parent's server is the parent's."""
        if self._server is not None and self._ending is not None:
            self._ending.detach()
            self._server.leave_to_parent()
        self._begin()


def shared_engine(weights: Path) -> Engine:
    """Return this process's engine for the file."""
    with _lock:
        engine = _engines.get(weights)
        if engine is None:
            engine = _engines[weights] = Engine(weights)
        return engine


def _begin_in_child() -> None:
    global _lock
    _lock = RLock()
    for engine in list(_engines.values()):
        engine.begin_in_child()


_lock = RLock()
_engines: "weakref.WeakValueDictionary[Path, Engine]" = weakref.WeakValueDictionary()
os.register_at_fork(after_in_child=_begin_in_child)
