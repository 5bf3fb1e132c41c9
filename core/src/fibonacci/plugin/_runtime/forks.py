"""Fork hooks, and the parent's objects in a forked child.

A module whose objects do not survive a fork registers a function with ``on_fork``: grep for that
name. Stores and their connections are reset by ``_memory/store_handle.py``.
"""

import os
from collections.abc import Callable
from typing import Final

Hook = Callable[[], object]

_inherited: Final[list[object]] = []
"""The parent's objects, which a forked child never releases."""


def on_fork(
    *,
    after_in_child: Hook,
    before: Hook | None = None,
    after_in_parent: Hook | None = None,
) -> None:
    """Register functions to be called around each ``os.fork``, with ``os.register_at_fork``.

    Does nothing on a system without fork, such as Windows.
    """
    if not hasattr(os, "register_at_fork"):  # pragma: no cover - Windows
        return
    if before is not None:
        os.register_at_fork(before=before)
    if after_in_parent is not None:
        os.register_at_fork(after_in_parent=after_in_parent)
    os.register_at_fork(after_in_child=after_in_child)


def keep_alive_in_child(*objects: object) -> None:
    """Keep the parent's objects alive in a forked child, so that no finalizer closes them.

    A driver's finalizer could end the parent's session with the server, or wait for a lock that
    another thread of the parent held.
    """
    _inherited.extend(objects)
