"""What SQLite's errors mean for the operation (https://www.sqlite.org/rescode.html)."""

import errno
import os
import sqlite3
from typing import Final

from fibonacci.errors import (
    BackendUnavailableError,
    CorruptRecordError,
    OutcomeUnknownError,
    StorageError,
)
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_sqlite.connection import Opening

_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_READ_ONLY: Final = (
    "can't be written: this user needs the right to write the file, and its directory, where the "
    "log is. With the option readonly=true it can be read without"
)
_TO_RECOVER: Final = (
    "has a log that is not in the file yet: somebody who may write has to open it once, without "
    "readonly=true"
)
_FULL: Final = (
    "has no room, and nothing was changed: the disk is full, or max_page_count is reached. SQLite "
    "needs room to delete, too: make some outside of the file"
)
_NO_FILES: Final = (
    "can't be opened: this process has too many open files, or the machine has. SQLite needs three "
    "for a connection; `ulimit -n` raises the limit"
)
NEEDED: Final = 4
"""Files that SQLite has open while it opens a database: with its log, an index, its directory."""


def code_of(fault: sqlite3.Error) -> int:
    """The primary result code; 0 where the error is not SQLite's own."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


def is_busy(fault: sqlite3.Error) -> bool:
    """Say whether somebody else had a lock; nothing was done, and it may be tried again."""
    return code_of(fault) in _BUSY


def told(fault: sqlite3.Error, opening: Opening, *, writing: bool) -> StorageError:
    """Return the error to raise. SQLite's own text goes in where it helps: it quotes no value."""
    path = opening.path
    code, place = code_of(fault), f"database {path!r}"
    if code == sqlite3.SQLITE_CANTOPEN:
        return _unopened(opening, place)
    # In each of these two SQLite has not begun, or has rolled back.
    if code == sqlite3.SQLITE_READONLY:
        return _unwritable(opening, place)
    if code == sqlite3.SQLITE_FULL:
        return BackendUnavailableError(f"{place} {_FULL}")
    if code == sqlite3.SQLITE_CORRUPT:
        return CorruptRecordError(
            f"{place} is damaged: restore a copy, or try `.recover` of the sqlite3 shell"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StorageError(f"{path!r} is not an SQLite database, and was left as it is")
    if code == sqlite3.SQLITE_ERROR:
        return StorageError(f"{place} is not as it was made: {fault}")
    if writing:
        return OutcomeUnknownError(f"{place} may have been changed, or not: {fault}")
    return BackendUnavailableError(f"{place} can't be read: {fault}")


def _unwritable(opening: Opening, place: str) -> StorageError:
    return StorageError(f"{place} {_TO_RECOVER if opening.readonly else _READ_ONLY}")


def _unopened(opening: Opening, place: str) -> StorageError:
    path = opening.path
    if _are_files_short():
        return BackendUnavailableError(f"{place} {_NO_FILES}")
    if os.path.isfile(path) and os.access(path, os.R_OK) and not _is_writable(path):
        return _unwritable(opening, place)
    return BackendUnavailableError(f"{place} can't be opened: {_why_not(path)}")


def _are_files_short() -> bool:
    """Say whether as many files as SQLite needs can't be opened; never opens the database.

    Closing a file of it would drop all locks that this process has on it.
    """
    opened: list[int] = []
    try:
        while len(opened) < NEEDED:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as fault:
        raise_for_signal(fault)
        return fault.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for one in opened:
            os.close(one)
    return False


def _is_writable(path: str) -> bool:
    return all(os.access(one, os.W_OK) for one in (path, os.path.dirname(os.path.realpath(path))))


def _why_not(path: str) -> str:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return f"there is no directory {directory!r}; make it, as none is made for you"
    if os.path.isdir(path):
        return "it is a directory"
    if not os.path.exists(path):
        return "it does not exist; create=true makes it, in a directory that this user may write"
    return "this user needs the right to read and write the file, and its directory, for the log"
