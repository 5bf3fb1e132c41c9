"""Open files: one opening for all stores of a process, as LMDB's locks belong to the process."""

import os
from threading import RLock
from typing import Final

import lmdb

MAP_SIZE: Final = 2**36
"""Bytes of address space, and so what the file can grow to; it takes up what is in it."""

_lock = RLock()
_open: dict[str, tuple[lmdb.Environment, int]] = {}
"""By path: what is open, and how many stores hold it."""
_of_parent: Final[list[object]] = []


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
    return lmdb.open(path, subdir=False, map_size=MAP_SIZE)


def _start_anew() -> None:
    """Leave what is open to the parent: a child must open the file itself (LMDB's "Caveats")."""
    global _lock, _open
    _of_parent.append(_open)
    _lock, _open = RLock(), {}


os.register_at_fork(after_in_child=_start_anew)
