"""Open files: a process opens each file once, as LMDB's locks belong to the process."""

from threading import RLock
from typing import Final

import lmdb

from fibonacci.plugin.runtime import keep_alive_in_child, on_fork

MAP_SIZE: Final = 2**36
"""Bytes of address space: the maximum size of the file, which is as large as its data."""

READERS: Final = 4096
"""Concurrent reads of all processes. The first process to open a file decides; LMDB's default, 126,
is low for threads, and each costs 64 bytes of the lock file."""

_lock = RLock()
_open: dict[str, tuple[lmdb.Environment, int]] = {}
"""By path: the open environment, and its reference count."""


def acquire(path: str) -> lmdb.Environment:
    """Open the file, or share the open environment."""
    with _lock:
        environment, refcount = _open.get(path) or (_open_file(path), 0)
        _open[path] = environment, refcount + 1
        return environment


def release(path: str) -> None:
    """Release the file; the last user closes it."""
    with _lock:
        environment, refcount = _open.pop(path)
        if refcount > 1:
            _open[path] = environment, refcount - 1
        else:
            environment.close()


def _open_file(path: str) -> lmdb.Environment:
    """Open the file; only its owner can read a new one."""
    environment = lmdb.open(path, subdir=False, map_size=MAP_SIZE, max_readers=READERS, mode=0o600)
    environment.reader_check()  # frees the reader slots of killed processes
    return environment


def _reset_after_fork() -> None:
    """Forget the parent's environments: a child must open the files itself (LMDB's "Caveats")."""
    global _lock, _open
    keep_alive_in_child(_open)
    _lock, _open = RLock(), {}


on_fork(after_in_child=_reset_after_fork)
