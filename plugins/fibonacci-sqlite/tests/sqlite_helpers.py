"""What the tests of this backend share: the types of fixtures, and a deadline."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from fibonacci import MemoryManager

Open = Callable[..., MemoryManager]
"""Opens a memory in a file, with options."""
Connect = Callable[[Path], sqlite3.Connection]
"""Opens a file with `sqlite3` itself."""


def deadline() -> float:
    """Return a deadline five seconds from now."""
    return time.monotonic() + 5
