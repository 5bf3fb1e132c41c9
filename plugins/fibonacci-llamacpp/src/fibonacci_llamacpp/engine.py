"""A model of this process: loaded once for each file, and let go with its last user."""

import os
import weakref
from pathlib import Path
from threading import RLock

from fibonacci_llamacpp.server import RunningServer


class Engine:
    """A file of weights, and the server for it once somebody has asked."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._begin()

    def _begin(self) -> None:
        self._lock = RLock()
        self._running: RunningServer | None = None
        self._ending: weakref.finalize[[], Engine] | None = None

    def running(self) -> RunningServer:
        """Return the server; start it first, which loads the model. Raises ModelError."""
        with self._lock:
            if self._running is None:
                self._running = RunningServer(self._weights)
                self._ending = weakref.finalize(self, self._running.stop)
            return self._running

    def begin_in_child(self) -> None:
        """Load anew when asked: of the server, a forked child has all but its threads."""
        if self._running is not None and self._ending is not None:
            self._ending.detach()
            self._running.leave_to_parent()
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
