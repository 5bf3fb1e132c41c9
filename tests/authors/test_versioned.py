"""Stores built on a versioned read, a conditional write and a conditional removal."""

import asyncio
import inspect
import time
from functools import partial

import pytest
from versions import AsyncVersionStore, VersionStore

from fibonacci.errors import BackendUnavailableError, ConflictError, OutcomeUnknownError
from fibonacci.plugin import (
    ABSENT,
    KEEP_TTL,
    Address,
    Space,
    VersionedRecord,
    VersionedStore,
    is_unexpired,
)

K = Address(Space("", "workflow", "w"), "k")


class Server(VersionStore):
    """A server on which something happens between a read and the next request."""

    def __init__(self):
        super().__init__()
        self.meanwhile = []
        self.requests = []

    def read_record(self, address, *, deadline):
        self.requests.append("read")
        found = super().read_record(address, deadline=deadline)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return found

    def write_if(self, address, version, data, expires, *, deadline):
        self.requests.append("write")
        return super().write_if(address, version, data, expires, deadline=deadline)

    def hold(self, data, expires=None):
        """Add a record, written by another client."""
        super().write_if(K, None, data, expires, deadline=0)

    def sweep(self):
        """Remove the record, as a server's ttl does."""
        del self.records[K]


class Calls:
    """A store in one of the modes, with a timeout of half a second a call."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        return partial(self.call, name)

    def call(self, name, *args, seconds=0.5):
        result = getattr(self.store, name)(*args, deadline=time.monotonic() + seconds)
        return asyncio.run(result) if inspect.iscoroutine(result) else result


@pytest.fixture
def server():
    return Server()


@pytest.fixture(params=["sync", "async"])
def store(request, server):
    return Calls(server if request.param == "sync" else AsyncVersionStore(server))


def expired():
    return time.time_ns() // 1_000_000 - 1


def test_same_bytes_written_in_between(store, server):
    """C16: another write of the same bytes does not make a compare-and-set fail."""
    server.hold(b"old")
    server.meanwhile = [lambda: server.hold(b"old")]
    assert store.compare_and_set(K, b"old", b"new", None) is True
    assert store.read(K) == b"new"


def test_other_bytes_written_in_between(store, server):
    """C16: other bytes that were written in between are not overwritten."""
    server.hold(b"old")
    server.meanwhile = [lambda: server.hold(b"other")]
    assert store.compare_and_set(K, b"old", b"new", None) is False
    assert store.read(K) == b"other"


def test_created_in_between(store, server):
    """C16: of two creations of a record, the first one's value stays."""
    server.meanwhile = [lambda: server.hold(b"first")]
    assert store.compare_and_set(K, ABSENT, b"second", None) is False
    assert store.read(K) == b"first"


def test_expired_is_absent(store, server):
    """C12: an expired record that the server still holds is absent, and is overwritten."""
    server.hold(b"old", expired())
    assert store.read(K) is None
    assert store.remaining_ttl_ms(K) is ABSENT
    assert store.exists(K) is False
    assert store.touch(K, None) is False
    assert store.compare_and_set(K, b"old", b"new", None) is False
    assert store.compare_and_set(K, ABSENT, b"new", KEEP_TTL) is True
    assert store.read(K) == b"new"
    assert store.remaining_ttl_ms(K) is None


def test_swept_in_between(store, server):
    """C12: an expired record that the server removes in between was absent all the time."""
    server.hold(b"old", expired())
    server.meanwhile = [server.sweep]
    assert store.compare_and_set(K, ABSENT, b"new", None) is True
    assert store.read(K) == b"new"


def test_conflicts_until_the_deadline(store, server):
    """C16: at the deadline it is a ConflictError, and nothing was written."""
    server.hold(b"old")
    server.meanwhile = [lambda: server.hold(b"old")] * 10_000
    start = time.monotonic()
    with pytest.raises(ConflictError, match="gave up on 'k' in workflow scope of 'w'"):
        store.compare_and_set(K, b"old", b"new", None, seconds=0.1)
    assert time.monotonic() - start < 0.5
    server.meanwhile = []
    assert store.read(K) == b"old"


def test_keep(store, server):
    """C13: KEEP_TTL writes the expiry that was read, to the millisecond."""
    server.hold(b"old", expires := expired() + 60_000)
    assert store.compare_and_set(K, b"old", b"new", KEEP_TTL) is True
    assert server.records[K].expires == expires


def test_write_is_one_request(store, server):
    """A write has no condition, and reads nothing."""
    store.write(K, b"1", None)
    store.write(K, b"2", 60_000)
    assert server.requests == ["write", "write"]
    assert store.read(K) == b"2"


def test_remove(store, server):
    """C14: a removal returns whether a live record was removed."""
    assert store.remove(K) is False
    server.hold(b"old", expired())
    assert store.remove(K) is False
    server.hold(b"1")
    assert store.remove(K) is True
    assert server.records == {}


def test_remove_retries_on_a_change(store, server):
    """C14: a record that changed in between is read again before it is removed."""
    server.hold(b"old", expired())
    server.meanwhile = [lambda: server.hold(b"new")]
    assert store.remove(K) is True
    assert server.records == {}


def test_removed_in_between(store, server):
    """C14: of two removals of a record, the second returns that there was none."""
    server.hold(b"1")
    server.meanwhile = [server.sweep]
    assert store.remove(K) is False


def test_touch(store, server):
    """C13: a touch leaves the bytes, also those of a write in between."""
    server.hold(b"old")
    server.meanwhile = [lambda: server.hold(b"new")]
    assert store.touch(K, 60_000) is True
    assert store.read(K) == b"new"
    assert 59_000 < store.remaining_ttl_ms(K) <= 60_000
    assert store.touch(K, None) is True
    assert store.remaining_ttl_ms(K) is None


@pytest.mark.parametrize("error", [OutcomeUnknownError, BackendUnavailableError])
def test_error_passes(store, server, monkeypatch, error):
    """C16: a conditional write that failed is not retried here, and its error not changed."""
    server.hold(b"old")
    calls = []

    def write_if(*args, deadline):
        calls.append(args)
        raise error("gone")

    monkeypatch.setattr(server, "write_if", write_if)
    with pytest.raises(error, match="gone"):
        store.compare_and_set(K, b"old", b"new", None)
    assert len(calls) == 1


def test_full_ttl(store, server, monkeypatch):
    """C11, C12: a record lives its milliseconds, in full, and at most one more."""
    now = 1_000_000_000_000_000_001
    monkeypatch.setattr("fibonacci.plugin._runtime.timing.time_ns", lambda: now)
    store.write(K, b"1", 5)
    now += 5_000_000 - 1
    assert store.read(K) == b"1"
    assert store.remaining_ttl_ms(K) == 1
    now += 1_000_000
    assert store.read(K) is None


def test_remaining_ttl_is_at_most_the_ttl(store):
    """C11: the remaining ttl is at most the ttl that was set."""
    for _ in range(50):
        store.write(K, b"1", 1_000)
        assert 0 < store.remaining_ttl_ms(K) <= 1_000


def test_is_unexpired():
    """C12: a record is visible while now is before its expiry, and gone at it."""
    assert is_unexpired(None)
    assert is_unexpired(expired() + 60_000)
    assert not is_unexpired(time.time_ns() // 1_000_000)


def test_record_hides_its_bytes():
    """C23: the repr of a record does not contain the value."""
    assert "secret" not in repr(VersionedRecord(data=b"secret", version=1, expires=None))


def test_primitives_are_required():
    """A store class without one of the primitives can't be instantiated."""
    assert VersionedStore.__abstractmethods__ == {
        "read_record",
        "write_if",
        "remove_if",
        "scan",
        "close",
    }
