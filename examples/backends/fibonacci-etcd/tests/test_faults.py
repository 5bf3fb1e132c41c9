"""Errors of the connection that the contract's suite can't cause from outside."""

import socket
import time

import pytest
from fake_etcd import Server

from fibonacci import (
    BackendUnavailableError,
    MemoryConfig,
    OutcomeUnknownError,
    StorageError,
    ValueTooLargeError,
    Workflow,
)
from fibonacci.plugin import Space
from fibonacci_etcd.layout import encode_key, lease_for, seconds_until

TXN = "/v3/kv/txn"


@pytest.fixture
def memory(own_etcd):
    config = MemoryConfig(backend="etcd", connection_url=own_etcd.url, timeout=0.6)
    with Workflow("w", config) as workflow:
        workflow.memory.set("k", 1)
        own_etcd.etcd.requests.clear()
        yield workflow.memory


def cut(handler, status, body):
    """Apply the request, and disconnect in the middle of the response."""
    handler.wfile.write(b"HTTP/1.1 200 -\r\nContent-Length: 100\r\n\r\n{")
    handler.connection.shutdown(socket.SHUT_RDWR)


def trickle(handler, status, body):
    """Send an endless response, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 -\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.02)


def once(spoiled, sound):
    """Replace only the first response."""
    first = [spoiled]
    return lambda *response: (first.pop() if first else sound)(*response)


def test_lost_response_of_a_compare_and_set(memory, own_etcd):
    """C16: a compare-and-set whose response was lost is not retried: its outcome is unknown."""
    sound = own_etcd.deliver
    own_etcd.deliver = lambda *response: (cut if own_etcd.etcd.requests[-1] == TXN else sound)(
        *response
    )
    with pytest.raises(
        OutcomeUnknownError, match=r"the request to /v3/kv/txn failed .* may have been applied"
    ):
        memory.add("new", 1)
    assert own_etcd.etcd.requests == ["/v3/kv/range", TXN]
    own_etcd.deliver = sound
    assert memory.get("new") == 1


def test_lost_response_of_a_write(memory, own_etcd):
    """C20: core retries a write whose response was lost."""
    own_etcd.deliver = once(cut, own_etcd.deliver)
    assert memory.set("k", 2) is True
    assert own_etcd.etcd.requests == [TXN, TXN]


def test_lost_response_of_a_read(memory, own_etcd):
    """C20: core retries a read whose response was lost."""
    own_etcd.deliver = once(cut, own_etcd.deliver)
    assert memory.get("k") == 1


def test_trickle(memory, own_etcd):
    """C18: a response that arrives byte by byte ends at the deadline."""
    own_etcd.deliver = trickle
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError, match="TimeoutError"):
        memory.get("k")
    assert time.monotonic() - start < 1.1


def test_away():
    """C18: the error about an unreachable server has its address and what to check."""
    with Server() as gone:
        url = gone.url
    workflow = Workflow("w", MemoryConfig("etcd", url, timeout=1))
    with workflow, pytest.raises(BackendUnavailableError) as caught:
        workflow.memory.get("k")
    place = url.removeprefix("etcd://")
    assert f"etcd at {place} is unreachable (ConnectionRefusedError)" in str(caught.value)


def test_closed_while_idle(memory, own_etcd):
    """A connection that the server closed while idle is replaced before a write."""
    own_etcd.hang_up()
    assert memory.add("new", 1) is True
    assert own_etcd.etcd.requests == ["/v3/kv/range", TXN]


def test_refused_for_now(memory, own_etcd):
    """A server without a leader may have applied a change: its outcome is unknown."""
    own_etcd.etcd.refuse = "leader"
    with pytest.raises(OutcomeUnknownError, match="HTTP 503, gRPC code 14"):
        memory.set("k", 2)
    with pytest.raises(BackendUnavailableError, match="HTTP 503, gRPC code 14"):
        memory.get("k")


@pytest.mark.parametrize(
    ("refusal", "error"),
    [("lease", BackendUnavailableError), ("login", StorageError), ("size", StorageError)],
)
def test_refused(memory, own_etcd, refusal, error):
    """A refused change is reported as not applied; a permanent error is not retried."""
    own_etcd.etcd.refuse = refusal
    with pytest.raises(StorageError, match="gRPC code") as caught:
        memory.set("k", 2)
    assert type(caught.value) is error
    own_etcd.etcd.refuse = None
    assert memory.get("k") == 1


def test_too_large(memory, own_etcd):
    """C10: a value that is too large for etcd is refused before the request, with both sizes."""
    with pytest.raises(
        ValueTooLargeError, match=r"has 2,000,002 bytes; etcd takes up to 1,433,600"
    ):
        memory.set("k", "x" * 2_000_000)
    assert own_etcd.etcd.requests == []


def test_foreign_key(memory, own_etcd):
    """C1: a foreign key that is not text is not listed, and does no harm."""
    space = Space("fibonacci:", "workflow", "w")
    own_etcd.etcd.keys[encode_key(space, "a") + b"\xfe"] = {"mod_revision": "1"}
    assert memory.list_keys() == ["k"]


def test_swept_after_expiry(own_etcd):
    """C12: etcd removes a record after it has expired, never before."""
    expires = time.time_ns() // 1_000_000 + 1
    assert 1 <= seconds_until(expires) <= 2
    assert seconds_until(expires - 5_000) == 1
    assert lease_for(expires) >> 20 == expires
    own_etcd.etcd.grant({"ID": "1", "TTL": "0"})
    own_etcd.etcd.put({"key": "aw==", "value": "", "lease": "1"})
    own_etcd.etcd.sweep()
    assert own_etcd.etcd.keys == {}
