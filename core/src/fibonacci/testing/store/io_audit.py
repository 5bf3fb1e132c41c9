"""Notes the I/O that a block of code does, by Python's audit events.

C code that calls the system by itself, such as libpq, raises none. Of such code the files and
sockets are noted that it leaves open.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from threading import get_ident
from typing import Any, Final

EVENTS: Final = {
    *("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"),
    *("sqlite3.connect", "subprocess.Popen", "os.posix_spawn", "os.system"),
    *("os.mkdir", "os.rename", "os.remove"),
}
"""Events that are I/O; and ``open``, for writing: imports read files."""

OPEN_FILES: Final = "/dev/fd"
"""A folder that lists the files and sockets that the process has open."""

_noted: dict[int, list[str]] = {}
"""What each watched thread did."""


@contextmanager
def noted_io() -> Iterator[list[str]]:
    """Return a list that gets the name of each event of this thread during the block."""
    _install()
    before = _open_files()
    noted = _noted[get_ident()] = []
    try:
        yield noted
    finally:
        del _noted[get_ident()]
    noted += [
        f"left open: {kind}" for number, kind in _open_files().items() if number not in before
    ]


@cache
def _install() -> None:
    """Add the hook: only when it is needed, as Python never removes it."""
    sys.addaudithook(_note)


def _open_files() -> dict[str, str]:
    """Return what kind each open file and socket is; nothing where the system lists none."""
    kinds = {}
    for number in os.listdir(OPEN_FILES) if os.path.isdir(OPEN_FILES) else ():
        with suppress(OSError):  # the list itself was open, too
            mode = os.fstat(int(number)).st_mode
            if stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
                kinds[number] = "a socket" if stat.S_ISSOCK(mode) else "a file"
    return kinds


def _note(event: str, args: tuple[Any, ...]) -> None:
    noted = _noted.get(get_ident())
    if noted is not None and (event in EVENTS or (event == "open" and _is_writing(*args))):
        noted.append(event)


def _is_writing(path: object, _mode: object, flags: int) -> bool:
    # Imports write compiled modules.
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) and "__pycache__" not in str(path)
