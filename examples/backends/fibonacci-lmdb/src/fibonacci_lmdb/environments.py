"""Open files: one opening for all stores of a process, as LMDB's locks belong to the process."""

from threading import RLock
from typing import Final

import lmdb

from fibonacci.plugin.runtime import keep_alive_in_child, on_fork

MAP_SIZE: Final = 2**36
"""Bytes of address space, and so what the file can grow to; it takes up what is in it."""

READERS: Final = 4096
"""Reads at once, of all processes. The first process to open a file decides; LMDB's own 126 are few
for threads, and each costs 64 bytes of the lock file."""

_lock = RLock()
_open: dict[str, tuple[lmdb.Environment, int]] = {}
"""By path: what is open, and how many stores hold it."""


def opened(path: str) -> lmdb.Environment:
    """Open the file, or share it with those who have it open."""
    with _lock:
        environment, holders = _open.get(path) or (_opening(path), 0)
        _open[path] = environment, holders + 1
        return environment


def closed(path: str) -> None:
    """Let go of the file; the last one closes it."""
    with _lock:
        environment, holders = _open.pop(path)
        if holders > 1:
            _open[path] = environment, holders - 1
        else:
            environment.close()


def _opening(path: str) -> lmdb.Environment:
    """Open the file; a new one is for its owner's eyes only."""
    environment = lmdb.open(path, subdir=False, map_size=MAP_SIZE, max_readers=READERS, mode=0o600)
    environment.reader_check()  # frees what processes had that were killed while they read
    return environment


def _start_anew() -> None:
    """Leave what is open to the parent: a child must open the file itself (LMDB's "Caveats")."""
    global _lock, _open
    keep_alive_in_child(_open)
    _lock, _open = RLock(), {}


on_fork(after_in_child=_start_anew)
