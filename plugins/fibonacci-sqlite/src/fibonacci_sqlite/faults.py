"""Maps SQLite's errors to errors of Fibonacci (https://www.sqlite.org/rescode.html)."""

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
from fibonacci_sqlite.settings import ConnectionOptions

_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_READ_ONLY: Final = (
    "can't be written: this user needs write permission for the file, and for its directory, where "
    "the log is. With the option readonly=true it can be read without that"
)
_TO_RECOVER: Final = (
    "has a log that is not in the file yet: a user with write permission has to open it once, "
    "without readonly=true"
)
_FULL: Final = (
    "has no space left, and nothing was changed: the disk is full, or max_page_count is reached. "
    "SQLite needs space to delete, too: free some outside the file"
)
_NO_FILES: Final = (
    "can't be opened: this process, or the machine, has too many open files. SQLite needs three "
    "for a connection; `ulimit -n` raises the limit"
)
FILES_NEEDED: Final = 4
"""Files that SQLite has open while it opens a database: with the log, its index, the directory."""


def code_of(error: sqlite3.Error) -> int:
    """Return the primary result code; 0 if the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection had a lock; nothing was done, and a retry may succeed."""
    return code_of(error) in _BUSY


def map_error(error: sqlite3.Error, options: ConnectionOptions, *, writing: bool) -> StorageError:
    """Return the error to raise. SQLite's own message is part of some: it quotes no value."""
    path = options.path
    code, database = code_of(error), f"database {path!r}"
    if code == sqlite3.SQLITE_CANTOPEN:
        return _open_error(options, database)
    # In both cases SQLite has not begun, or has rolled back.
    if code == sqlite3.SQLITE_READONLY:
        return _write_error(options, database)
    if code == sqlite3.SQLITE_FULL:
        return BackendUnavailableError(f"{database} {_FULL}")
    if code == sqlite3.SQLITE_CORRUPT:
        return CorruptRecordError(
            f"{database} is damaged: restore a copy, or try `.recover` of the sqlite3 shell"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StorageError(f"{path!r} is not an SQLite database, and was not modified")
    if code == sqlite3.SQLITE_ERROR:
        return StorageError(f"{database} has an unexpected schema: {error}")
    if writing:
        return OutcomeUnknownError(f"{database} may or may not have been changed: {error}")
    return BackendUnavailableError(f"{database} can't be read: {error}")


def _write_error(options: ConnectionOptions, database: str) -> StorageError:
    return StorageError(f"{database} {_TO_RECOVER if options.readonly else _READ_ONLY}")


def _open_error(options: ConnectionOptions, database: str) -> StorageError:
    path = options.path
    if _is_out_of_files():
        return BackendUnavailableError(f"{database} {_NO_FILES}")
    if os.path.isfile(path) and os.access(path, os.R_OK) and not _is_writable(path):
        return _write_error(options, database)
    return BackendUnavailableError(f"{database} can't be opened: {_open_problem(path)}")


def _is_out_of_files() -> bool:
    """Return whether fewer files than SQLite needs can be opened; never opens the database.

    Closing the database file would drop all locks that this process has on it.
    """
    opened: list[int] = []
    try:
        while len(opened) < FILES_NEEDED:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise_for_signal(error)
        return error.errno in (errno.EMFILE, errno.ENFILE)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return False


def _is_writable(path: str) -> bool:
    directory = os.path.dirname(os.path.realpath(path))
    return os.access(path, os.W_OK) and os.access(directory, os.W_OK)


def _open_problem(path: str) -> str:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return (
            f"there is no directory {directory!r}: create it, as only the file is created for you"
        )
    if os.path.isdir(path):
        return "it is a directory"
    if not os.path.exists(path):
        return (
            "it does not exist; create=true creates it, in a directory that this user can write to"
        )
    return "this user needs permission to read and write the file, and its directory, for the log"
