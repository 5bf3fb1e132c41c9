"""What SQLite's errors mean for the operation (https://www.sqlite.org/rescode.html)."""

import os
import sqlite3
from typing import Final

from fibonacci.errors import (
    BackendUnavailableError,
    CorruptRecordError,
    OutcomeUnknownError,
    StorageError,
)

_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

# In each of these SQLite has not begun, or has rolled back.
_NOT_APPLIED: Final = {
    sqlite3.SQLITE_READONLY: (
        "can't be written: this user needs the right to write the file, and its directory, where "
        "the log is"
    ),
    sqlite3.SQLITE_FULL: "has no room: the disk is full, or its max_page_count is reached",
}


def code_of(fault: sqlite3.Error) -> int:
    """The primary result code; 0 where the error is not SQLite's own."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


def is_busy(fault: sqlite3.Error) -> bool:
    """Say whether somebody else had a lock; nothing was done, and it may be tried again."""
    return code_of(fault) in _BUSY


def told(fault: sqlite3.Error, path: str, *, writing: bool) -> StorageError:
    """Return the error to raise. SQLite's own text goes in where it helps: it quotes no value."""
    code, place = code_of(fault), f"database {path!r}"
    if code == sqlite3.SQLITE_CANTOPEN:
        return BackendUnavailableError(f"{place} can't be opened: {_why_not(path)}")
    if code in _NOT_APPLIED:
        return BackendUnavailableError(f"{place} {_NOT_APPLIED[code]}")
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


def _why_not(path: str) -> str:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return f"there is no directory {directory!r}; make it, as none is made for you"
    if os.path.isdir(path):
        return "it is a directory"
    if not os.path.exists(path):
        return "it does not exist; create=true makes it, in a directory that this user may write"
    return "this user needs the right to read and write the file, and its directory, for the log"
