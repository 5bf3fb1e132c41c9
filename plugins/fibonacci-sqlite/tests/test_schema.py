"""Which application a database file belongs to, and the version of its schema."""

import os
import sqlite3
from pathlib import Path
from runpy import run_module

import pytest
from sqlite_helpers import Connect, Open

from fibonacci import BackendUnavailableError, MemoryManager, StorageError
from fibonacci_sqlite.schema import STATEMENTS, prepare, script


def test_printed_sql_creates_the_database(
    path: Path, open_memory: Open, raw: Connect, capsys: pytest.CaptureFixture[str]
):
    """``python -m fibonacci_sqlite`` prints SQL that creates the database for create=false."""
    run_module("fibonacci_sqlite", run_name="__main__")
    raw(path).executescript(capsys.readouterr().out)
    memory = open_memory(path, create=False)
    memory.set("k", 1)
    assert memory.get("k") == 1


def test_printed_sql_equals_created_schema(
    path: Path, tmp_path: Path, memory: MemoryManager, raw: Connect
):
    """The printed SQL creates exactly what create=true creates."""
    memory.set("k", 1)
    by_hand = raw(tmp_path / "hand.db")
    by_hand.executescript(script())
    question = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert by_hand.execute(question).fetchall() == raw(path).execute(question).fetchall()
    for pragma in ("user_version", "application_id", "journal_mode"):
        question = f"PRAGMA {pragma}"
        assert by_hand.execute(question).fetchone() == raw(path).execute(question).fetchone()


def test_create_false_creates_no_file(path: Path, open_memory: Open):
    """With create=false a missing file is an error, and is not created."""
    memory = open_memory(path, create=False)
    with pytest.raises(BackendUnavailableError, match="create=true"):
        memory.set("k", 1)
    assert not path.exists()


def test_create_false_creates_no_table(path: Path, open_memory: Open):
    """With create=false an empty file is an error that says how to fill it, and stays empty."""
    path.touch()
    memory = open_memory(path, create=False)
    with pytest.raises(StorageError, match="python -m fibonacci_sqlite"):
        memory.get("k")
    assert path.read_bytes() == b""


def test_only_the_owner_can_read_a_new_file(path: Path, memory: MemoryManager):
    """A new file and its log can be read only by their owner."""
    before = os.umask(0)
    try:
        memory.set("k", 1)
    finally:
        os.umask(before)
    files = [path, path.with_name("memory.db-wal"), path.with_name("memory.db-shm")]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


def test_link_to_a_missing_file_creates_it(path: Path, tmp_path: Path, open_memory: Open):
    """A symbolic link to a missing file creates that file, which only its owner can read."""
    (tmp_path / "link.db").symlink_to(path)
    open_memory(tmp_path / "link.db").set("k", 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_memory(path).get("k") == 1


def test_existing_file_keeps_its_mode(path: Path, memory: MemoryManager):
    """An existing file keeps its mode."""
    path.touch(0o640)
    path.chmod(0o640)
    memory.set("k", 1)
    assert path.stat().st_mode & 0o777 == 0o640


def test_newer_schema_is_refused(path: Path, open_memory: Open, raw: Connect):
    """A newer schema is refused with the package to upgrade, and is not modified."""
    open_memory(path).set("k", 1)
    database = raw(path)
    database.execute("PRAGMA user_version = 2")
    before = database.execute("SELECT * FROM fibonacci_records").fetchall()
    memory = open_memory(path)
    for _ in range(2):
        with pytest.raises(StorageError, match="pip install --upgrade fibonacci-sqlite"):
            memory.set("k", 2)
    assert database.execute("SELECT * FROM fibonacci_records").fetchall() == before
    assert database.execute("PRAGMA user_version").fetchone() == (2,)


def test_unknown_schema_version_is_refused(path: Path, open_memory: Open, raw: Connect):
    """A schema version that no release wrote is refused, and is not modified."""
    open_memory(path).set("k", 1)
    raw(path).execute("PRAGMA user_version = 0")
    with pytest.raises(StorageError, match="schema version 0"):
        open_memory(path).get("k")
    assert raw(path).execute("PRAGMA user_version").fetchone() == (0,)


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1; CREATE TABLE fibonacci_records (x)",
    ],
)
def test_other_applications_database_is_refused(
    path: Path, open_memory: Open, raw: Connect, statements: str
):
    """A database of another application is refused, and not one byte of it changes."""
    raw(path).executescript(statements)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="belongs to another application and was not modified"):
        open_memory(path).set("k", 1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database", b"text\n" * 1000, bytes(5000)])
def test_file_that_is_no_database_is_refused(path: Path, open_memory: Open, content: bytes):
    """A file that is not an SQLite database is refused, and not one byte of it changes."""
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not an SQLite database"):
        open_memory(path).set("k", 1)
    assert path.read_bytes() == content


def test_memory_works_once_the_file_is_repaired(path: Path, memory: MemoryManager):
    """A memory whose file was unusable works as soon as the file is repaired."""
    path.write_bytes(b"no database")
    with pytest.raises(StorageError):
        memory.get("k")
    path.unlink()
    memory.set("k", 1)
    assert memory.get("k") == 1


def test_journal_mode_is_set_back_to_wal(path: Path, open_memory: Open, raw: Connect):
    """A file that was switched to another journal mode is switched back to WAL."""
    memory = open_memory(path)
    memory.set("k", 1)
    memory.close()
    assert raw(path).execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    assert open_memory(path).get("k") == 1
    assert raw(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_concurrent_creation_is_accepted(path: Path, raw: Connect):
    """A database that another process fills at the same moment is used as it is."""
    slow, fast = raw(path), raw(path)

    def overtake(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            slow.set_trace_callback(None)
            fast.executescript("".join(f"{each};" for each in STATEMENTS))

    slow.set_trace_callback(overtake)
    prepare(slow, "memory.db", create=True)
    assert slow.execute("SELECT count(*) FROM fibonacci_records").fetchone() == (0,)


def test_file_without_wal_is_refused(path: Path):
    """A file that can't have a write-ahead log is refused with what it needs."""
    database = sqlite3.connect(f"file://{path}?vfs=unix-dotfile", uri=True, isolation_level=None)
    try:
        with pytest.raises(StorageError, match="on a local disk"):
            prepare(database, "memory.db", create=True)
    finally:
        database.close()
