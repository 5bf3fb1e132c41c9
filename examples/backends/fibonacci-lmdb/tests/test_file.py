"""What the contract's suite can't test: the file, and what is stored in it."""

import stat

import lmdb
import pytest

from fibonacci import (
    BackendUnavailableError,
    ConfigurationError,
    CorruptRecordError,
    MemoryConfig,
    StorageError,
    Workflow,
)
from fibonacci.plugin import Address, Space, encode_parts
from fibonacci_lmdb import LmdbBackend, environments, layout


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory.mdb"


@pytest.fixture
def memory(path):
    with Workflow("w", MemoryConfig("lmdb", f"lmdb:///{path}")) as workflow:
        yield workflow.memory


SPACE = Space("fibonacci:", "workflow", "w")


def put(path, key, value):
    """Write past the store, through the environment that the process has open."""
    environment = environments.acquire(str(path))
    with environment.begin(write=True) as transaction:
        transaction.put(key, value)
    environments.release(str(path))


def test_only_the_owner_has_access(memory, path):
    """Only their owner can read and write a new file and its lock file."""
    memory.set("k", 1)
    found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert found == {"memory.mdb": 0o600, "memory.mdb-lock": 0o600}


def test_many_reads_at_once(path):
    """500 transactions can read at once; LMDB's own limit is 126 readers."""
    environment = environments.acquire(str(path))
    reads = [environment.begin() for _ in range(500)]
    for read in reads:
        read.abort()
    environments.release(str(path))


def test_long_names_are_listed_in_order(memory):
    """C14: names that share a prefix longer than LMDB's longest key are sorted by their ends."""
    names = [f"{'x' * 460}{end:03}" for end in range(50)]
    memory.set_many(dict.fromkeys([*reversed(names), "x" * 447, "y"], 1))
    assert memory.list_keys() == ["x" * 447, *names, "y"]
    assert list(memory.iter_keys(pattern="x" * 460 + "04*")) == names[40:]


@pytest.mark.parametrize(
    "value", [b"", b"\0" * 9, layout.encode_record(Address(SPACE, "other"), b"1", 0)]
)
def test_foreign_value(memory, path, value):
    """C8: reading a value that is no record of its address raises, and it is not listed."""
    memory.set("sound", 1)
    put(path, layout.encode_key(Address(SPACE, "k")), value)
    with pytest.raises(CorruptRecordError, match="is not a record of this address"):
        memory.get("k", default="default")
    assert "sound" in memory.list_keys()
    assert "k" not in memory.list_keys()


def test_other_spaces_value(memory, path):
    """C6: a record of another space, under a key of this one, is not listed here."""
    foreign = layout.encode_record(Address(SPACE._replace(owner="v"), "k"), b"1", 0)
    memory.set("sound", 1)
    put(path, layout.encode_key(Address(SPACE, "k")), foreign)
    assert memory.list_keys() == ["sound"]


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_foreign_key(path, limit):
    """C1: a key that is not UTF-8 is left out of a listing, which has all the others."""
    store = LmdbBackend(str(path)).create_store()
    keys, end = ["a", "k", "k1", "z"], 0
    store.write_many([(Address(SPACE, key), b"1") for key in keys], None, deadline=end)
    for foreign in (b"k\xff", b"k1\xc3("):
        name = encode_parts(*SPACE, "")[:-4] + len(foreign).to_bytes(4, "big") + foreign
        value = (0).to_bytes(8, "big") + len(name).to_bytes(2, "big") + name + b"1"
        put(path, layout.group_key(SPACE, "") + foreign, value)
    page = store.scan(SPACE, limit=limit, deadline=end)
    listed = list(page.keys)
    while page.cursor is not None:
        page = store.scan(SPACE, cursor=page.cursor, limit=limit, deadline=end)
        listed += page.keys
    store.close()
    assert listed == keys


def test_full(path, monkeypatch):
    """A file that is full raises, nothing is written, and what is there can be read."""
    monkeypatch.setattr(environments, "MAP_SIZE", 2**17)
    with Workflow("w", MemoryConfig("lmdb", f"lmdb:///{path}")) as workflow:
        workflow.memory.set("k", 1)
        with pytest.raises(StorageError, match="is full, and nothing was written"):
            workflow.memory.set("k", "x" * 2**17)
        assert workflow.memory.get("k") == 1


def test_no_folder(tmp_path):
    """The error about a missing folder names its path; nothing was written."""
    url = f"lmdb:///{tmp_path / 'missing' / 'memory.mdb'}"
    with Workflow("w", MemoryConfig("lmdb", url)) as workflow:
        for act in (workflow.memory.get, workflow.memory.delete):
            with pytest.raises(BackendUnavailableError, match="could not be used") as caught:
                act("k")
            assert isinstance(caught.value.__cause__, lmdb.Error)


def test_shared_open_file(path):
    """Two stores of one process share an environment; the last one closes it."""
    one, other = (LmdbBackend(str(path)).create_store() for _ in range(2))
    address = Address(SPACE, "k")
    one.write(address, b"1", None, deadline=0)
    assert other.read(address, deadline=0) == b"1"
    one.close()
    one.close()
    assert other.read(address, deadline=0) == b"1"
    other.close()
    assert str(path) not in environments._open


@pytest.mark.parametrize(
    "url", [None, "lmdb://", "lmdb:///", "lmdb:///f/", "lmdb://h/f", "http:///f"]
)
def test_other_urls_are_refused(url):
    """A URL other than lmdb:///file is refused; the error shows the right form."""
    with pytest.raises(ConfigurationError, match=r"connection URL.*: write lmdb:///relative/file"):
        Workflow("w", MemoryConfig("lmdb", url))
