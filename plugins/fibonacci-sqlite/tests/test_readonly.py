"""Files that can be read but not written, and the option readonly=true."""

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from sqlite_children import Child, Gate, Send
from sqlite_helpers import Open, deadline

from fibonacci import BackendUnavailableError, StorageError
from fibonacci.plugin import Address, Space
from fibonacci_sqlite.settings import ConnectionOptions
from fibonacci_sqlite.store import SqliteStore

ADDRESS = Address(Space("p:", "workflow", "w"), "k")


@pytest.fixture
def shipped() -> Iterator[Path]:
    """A read-only file with a record in it, which nobody has open."""
    directory = Path(mkdtemp())
    store = SqliteStore(ConnectionOptions(path=os.fspath(directory / "memory.db")))
    store.write(ADDRESS, b"1", None, deadline=deadline())
    store.close()
    (directory / "memory.db").chmod(0o444)
    directory.chmod(0o555)
    yield directory / "memory.db"
    directory.chmod(0o755)
    rmtree(directory)


def as_another_user(*acts: Callable[[], object], before: Callable[[], object] = str) -> list[str]:
    """Call each act as a user without permissions; return its result or error as a line of text.

    ``before`` is called once the child exists: a fork closes what is open.
    """
    gate = Gate()

    def do(send: Send) -> None:
        gate.wait()
        if not os.geteuid():  # root has every right
            os.setuid(65534)
        for act in acts:
            try:
                send(repr(act()))
            except StorageError as error:
                send(f"{type(error).__name__}: {error}")

    gc.collect()  # a fork waits for connections that are in use, or in an exception's frames
    child = Child(do)
    before()
    gate.open()
    lines = [child.next() for _ in acts]
    child.kill()  # this user can't write coverage's data
    return lines


def read(store: SqliteStore) -> bytes | None:
    return store.read(ADDRESS, deadline=deadline())


def test_read_only_file_needs_the_option(shipped: Path):
    """A read-only file raises StorageError, which names the option readonly=true."""
    store = SqliteStore(ConnectionOptions(path=os.fspath(shipped)))
    (line,) = as_another_user(partial(read, store))
    assert line.startswith("StorageError: database ")
    assert "With the option readonly=true it can be read" in line


def test_readonly_reads_a_read_only_file(shipped: Path):
    """readonly=true reads a read-only file, and creates no file beside it."""
    store = SqliteStore(ConnectionOptions(path=os.fspath(shipped), readonly=True))
    assert as_another_user(partial(read, store)) == ["b'1'"]
    assert os.listdir(shipped.parent) == ["memory.db"]


def test_readonly_sees_the_owners_writes(shipped: Path):
    """readonly=true reads what the owner writes meanwhile; writes name the missing permission."""
    path = os.fspath(shipped)
    owner, other = (
        SqliteStore(ConnectionOptions(path=path)),
        SqliteStore(ConnectionOptions(path=path)),
    )
    reader = SqliteStore(ConnectionOptions(path=path, readonly=True))

    def own() -> None:
        shipped.parent.chmod(0o755)
        shipped.chmod(0o644)
        owner.write(ADDRESS, b"2", None, deadline=deadline())
        for file in shipped.parent.iterdir():
            file.chmod(0o444)

    write = partial(other.write, ADDRESS, b"3", None, deadline=deadline())
    seen = as_another_user(partial(read, reader), partial(read, other), write, before=own)
    owner.close()
    assert seen[:2] == ["b'2'"] * 2
    assert "StorageError: " in seen[2]
    assert "can't be written: this user needs write permission" in seen[2]


def test_unrecovered_log_is_reported(shipped: Path):
    """A log that a killed process left is reported to a read-only user, and not ignored."""
    shipped.parent.chmod(0o755)
    owner = SqliteStore(ConnectionOptions(path=os.fspath(shipped)))
    shipped.chmod(0o644)
    owner.write(ADDRESS, b"2", None, deadline=deadline())
    log = shipped.with_name("memory.db-wal")
    left = log.read_bytes()
    owner.close()
    log.write_bytes(left)
    shipped.parent.chmod(0o555)
    store = SqliteStore(ConnectionOptions(path=os.fspath(shipped), readonly=True))
    (line,) = as_another_user(partial(read, store))
    assert line.startswith("StorageError: ")
    assert "open it once, without readonly=true" in line


WRITES: dict[str, Callable[..., Any]] = {
    "set": lambda memory: memory.set("k", 2),
    "append": lambda memory: memory.append("new", 2),
    "delete": lambda memory: memory.delete("k"),
    "touch": lambda memory: memory.touch("k", 60),
    "set_many": lambda memory: memory.set_many({"k": 2}),
    "delete_many": lambda memory: memory.delete_many(["k"]),
    "clear": lambda memory: memory.clear(),
}


@pytest.mark.parametrize("verb", WRITES)
def test_readonly_refuses_all_writes(path: Path, open_memory: Open, verb: str):
    """With readonly=true no verb changes anything, even if the file could be written."""
    open_memory(path).set("k", 1)
    memory = open_memory(path, readonly=True)
    assert memory.get("k") == 1
    with pytest.raises(StorageError, match="read-only, as it was opened with readonly=true"):
        WRITES[verb](memory)
    assert memory.list_keys() == ["k"]


def test_readonly_creates_no_file(path: Path, open_memory: Open):
    """With readonly=true a missing file is an error, and is not created."""
    with pytest.raises(BackendUnavailableError, match="does not exist"):
        open_memory(path, readonly=True).get("k")
    assert not path.exists()


def test_missing_permissions_are_found_in_process(
    shipped: Path, open_memory: Open, monkeypatch: pytest.MonkeyPatch
):
    """os.access() decides what this process may write, even as root."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    memory = open_memory(shipped, readonly=True)
    assert memory.list_keys() == []
    shipped.parent.chmod(0o755)
    shipped.with_name("memory.db-wal").mkdir()
    for readonly, hint in ((False, "With the option readonly=true"), (True, "open it once")):
        with pytest.raises(StorageError, match=hint):
            open_memory(shipped, readonly=readonly).get("k")


def test_readonly_error_of_sqlite_is_permanent(store: SqliteStore):
    """SQLITE_READONLY raises StorageError with the permission to add, and is not transient."""
    store.write(ADDRESS, b"1", None, deadline=deadline())
    store._database.run(
        lambda connection: connection.cursor.execute("PRAGMA query_only = 1"), deadline=deadline()
    )
    with pytest.raises(StorageError, match="needs write permission for the file") as caught:
        store.write(ADDRESS, b"2", None, deadline=deadline())
    assert type(caught.value) is StorageError
    assert store.read(ADDRESS, deadline=deadline()) == b"1"
