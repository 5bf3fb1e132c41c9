"""Whose database a file is, and which version of the table is in it."""

import os
import sqlite3
from pathlib import Path
from runpy import run_module

import pytest
from sqlite_bench import Connect, Open

from fibonacci import BackendUnavailableError, MemoryManager, StorageError
from fibonacci_sqlite.schema import STATEMENTS, prepare, script


def test_printed_sql(
    path: Path, open_memory: Open, raw: Connect, capsys: pytest.CaptureFixture[str]
):
    """What ``python -m fibonacci_sqlite`` prints makes the database that create=false needs."""
    run_module("fibonacci_sqlite", run_name="__main__")
    raw(path).executescript(capsys.readouterr().out)
    memory = open_memory(path, create=False)
    memory.set("k", 1)
    assert memory.get("k") == 1


def test_printed_and_created_are_one(
    path: Path, tmp_path: Path, memory: MemoryManager, raw: Connect
):
    """The printed SQL makes the very tables that create=true makes."""
    memory.set("k", 1)
    by_hand = raw(tmp_path / "hand.db")
    by_hand.executescript(script())
    question = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
    assert by_hand.execute(question).fetchall() == raw(path).execute(question).fetchall()
    for pragma in ("user_version", "application_id", "journal_mode"):
        question = f"PRAGMA {pragma}"
        assert by_hand.execute(question).fetchone() == raw(path).execute(question).fetchone()


def test_create_false_makes_no_file(path: Path, open_memory: Open):
    """With create=false a missing file is an error, and stays missing."""
    memory = open_memory(path, create=False)
    with pytest.raises(BackendUnavailableError, match="create=true"):
        memory.set("k", 1)
    assert not path.exists()


def test_create_false_makes_no_table(path: Path, open_memory: Open):
    """With create=false an empty file is an error that says how to fill it, and stays empty."""
    path.touch()
    memory = open_memory(path, create=False)
    with pytest.raises(StorageError, match="python -m fibonacci_sqlite"):
        memory.get("k")
    assert path.read_bytes() == b""


def test_new_file_is_its_owners(path: Path, memory: MemoryManager):
    """A new file and its log are readable by their owner alone."""
    before = os.umask(0)
    try:
        memory.set("k", 1)
    finally:
        os.umask(before)
    files = [path, path.with_name("memory.db-wal"), path.with_name("memory.db-shm")]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


def test_file_behind_a_link(path: Path, tmp_path: Path, open_memory: Open):
    """A link to a file that is missing has it made, readable by its owner alone."""
    (tmp_path / "link.db").symlink_to(path)
    open_memory(tmp_path / "link.db").set("k", 1)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_memory(path).get("k") == 1


def test_mode_of_a_file_that_exists(path: Path, memory: MemoryManager):
    """A file that exists keeps its mode."""
    path.touch(0o640)
    path.chmod(0o640)
    memory.set("k", 1)
    assert path.stat().st_mode & 0o777 == 0o640


def test_newer_schema(path: Path, open_memory: Open, raw: Connect):
    """A newer schema is refused, says what to upgrade, and is left as it is."""
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


def test_unknown_old_schema(path: Path, open_memory: Open, raw: Connect):
    """A version that no release wrote is refused, and left as it is."""
    open_memory(path).set("k", 1)
    raw(path).execute("PRAGMA user_version = 0")
    with pytest.raises(StorageError, match="schema version 0"):
        open_memory(path).get("k")
    assert raw(path).execute("PRAGMA user_version").fetchone() == (0,)


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 1; CREATE TABLE fibonacci_records (x)",
    ],
)
def test_another_applications_database(path: Path, open_memory: Open, raw: Connect, made: str):
    """A database of another application is refused, and not one byte of it changes."""
    raw(path).executescript(made)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="belongs to another application and was not modified"):
        open_memory(path).set("k", 1)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database", b"text\n" * 1000, bytes(5000)])
def test_no_database(path: Path, open_memory: Open, content: bytes):
    """A file that is no SQLite database is refused, and not one byte of it changes."""
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not an SQLite database"):
        open_memory(path).set("k", 1)
    assert path.read_bytes() == content


def test_file_mended_meanwhile(path: Path, memory: MemoryManager):
    """A memory whose file could not be used works as soon as it can."""
    path.write_bytes(b"no database")
    with pytest.raises(StorageError):
        memory.get("k")
    path.unlink()
    memory.set("k", 1)
    assert memory.get("k") == 1


def test_another_journal(path: Path, open_memory: Open, raw: Connect):
    """A file that was taken out of WAL by hand is put back."""
    memory = open_memory(path)
    memory.set("k", 1)
    memory.close()
    assert raw(path).execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    assert open_memory(path).get("k") == 1
    assert raw(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_made_by_two_at_once(path: Path, raw: Connect):
    """Whoever finds the database empty, and filled a moment later, takes it as it is."""
    slow, fast = raw(path), raw(path)

    def overtake(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            slow.set_trace_callback(None)
            fast.executescript("".join(f"{one};" for one in STATEMENTS))

    slow.set_trace_callback(overtake)
    prepare(slow, "memory.db", create=True)
    assert slow.execute("SELECT count(*) FROM fibonacci_records").fetchone() == (0,)


def test_no_log(path: Path):
    """Where a file can have no write-ahead log, the error says what it needs."""
    database = sqlite3.connect(f"file://{path}?vfs=unix-dotfile", uri=True, isolation_level=None)
    try:
        with pytest.raises(StorageError, match="on a local disk"):
            prepare(database, "memory.db", create=True)
    finally:
        database.close()
