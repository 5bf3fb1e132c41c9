"""Threads for what must not hold up its caller: made when they are needed, kept for a while.

Not a ThreadPoolExecutor: that has a size, and a run that waits inside another one for a free
thread would wait for ever.
"""

import os
from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

KEPT: Final = 32
"""Threads at rest; one more that comes to rest ends."""

REST: Final = 10.0
"""Seconds that a thread waits for work before it ends."""

Task = Callable[[], None]

_idle: Final[list["SimpleQueue[Task]"]] = []
_numbers: Final = count(1)


def hand_over(task: Task) -> None:
    """Have a thread run the task, which must not raise. Nobody waits for it at exit."""
    try:
        inbox = _idle.pop()
    except IndexError:
        inbox = SimpleQueue()
        name = f"fibonacci-node-{next(_numbers)}"
        Thread(target=_work, args=(inbox,), name=name, daemon=True).start()
    inbox.put(task)


def _work(inbox: "SimpleQueue[Task]") -> None:
    while True:
        try:
            task = inbox.get(timeout=REST)
        except Empty:
            if _leave(inbox):
                return
            continue
        task()
        del task  # or it would live until the next one comes
        if len(_idle) >= KEPT:
            return
        _idle.append(inbox)


def _leave(inbox: "SimpleQueue[Task]") -> bool:
    """Leave the rest; not where somebody has just taken this thread out, and brings a task."""
    try:
        _idle.remove(inbox)
    except ValueError:
        return False
    return True


# The threads did not come along into a forked child.
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none
    os.register_at_fork(after_in_child=_idle.clear)
