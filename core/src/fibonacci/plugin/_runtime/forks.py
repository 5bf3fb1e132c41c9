"""What becomes of a process's objects in a forked child."""

import os
from collections.abc import Callable
from typing import Final

Hook = Callable[[], object]

_of_parent: Final[list[object]] = []
"""Kept alive in a forked child, for as long as that lives."""


def on_fork(
    *,
    after_in_child: Hook,
    before: Hook | None = None,
    after_in_parent: Hook | None = None,
) -> None:
    """Have functions called around each ``os.fork``, as ``os.register_at_fork`` does it.

    Nothing is done where a system has no fork, such as Windows.
    """
    if not hasattr(os, "register_at_fork"):  # pragma: no cover - Windows
        return
    if before is not None:
        os.register_at_fork(before=before)
    if after_in_parent is not None:
        os.register_at_fork(after_in_parent=after_in_parent)
    os.register_at_fork(after_in_child=after_in_child)


def keep_alive_in_child(*things: object) -> None:
    """Keep a forked child's copies of its parent's objects from ever being closed.

    A driver's finalizer may say goodbye to the server on a connection that is the parent's, or
    take a lock that another thread of the parent held.
    """
    _of_parent.extend(things)
