"""What the contract's suite can't see from outside: faults on the wire, told as what they are."""

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
        own_etcd.etcd.asked.clear()
        yield workflow.memory


def cut(handler, status, body):
    """Do what was asked, and break off in the midst of the answer."""
    handler.wfile.write(b"HTTP/1.1 200 -\r\nContent-Length: 100\r\n\r\n{")
    handler.connection.shutdown(socket.SHUT_RDWR)


def trickle(handler, status, body):
    """Send an answer that does not end, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 -\r\nContent-Length: 100\r\n\r\n")
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.02)


def once(spoiled, sound):
    """Spoil the first answer alone."""
    answers = [spoiled]
    return lambda *told: (answers.pop() if answers else sound)(*told)


def test_lost_answer_of_a_swap(memory, own_etcd):
    """C16: a compare-and-set whose answer was lost is not sent again, and told as unknown."""
    sound = own_etcd.deliver
    own_etcd.deliver = lambda *told: (cut if own_etcd.etcd.asked[-1] == TXN else sound)(*told)
    with pytest.raises(
        OutcomeUnknownError, match=r"the request to /v3/kv/txn failed .* may have been applied"
    ):
        memory.add("new", 1)
    assert own_etcd.etcd.asked == ["/v3/kv/range", TXN]
    own_etcd.deliver = sound
    assert memory.get("new") == 1


def test_lost_answer_of_a_write(memory, own_etcd):
    """C20: a write whose answer was lost is sent again by core, until it is answered."""
    own_etcd.deliver = once(cut, own_etcd.deliver)
    assert memory.set("k", 2) is True
    assert own_etcd.etcd.asked == [TXN, TXN]


def test_lost_answer_of_a_read(memory, own_etcd):
    """C20: a read whose answer was lost is sent again by core."""
    own_etcd.deliver = once(cut, own_etcd.deliver)
    assert memory.get("k") == 1


def test_trickle(memory, own_etcd):
    """C18: an answer that comes a byte at a time ends by the deadline, too."""
    own_etcd.deliver = trickle
    start = time.monotonic()
    with pytest.raises(BackendUnavailableError, match="TimeoutError"):
        memory.get("k")
    assert time.monotonic() - start < 1.1


def test_away():
    """C18: a server that is away is told as such, with its address and what to look at."""
    with Server() as gone:
        url = gone.url
    workflow = Workflow("w", MemoryConfig("etcd", url, timeout=1))
    with workflow, pytest.raises(BackendUnavailableError) as caught:
        workflow.memory.get("k")
    place = url.removeprefix("etcd://")
    assert f"etcd at {place} is unreachable (ConnectionRefusedError)" in str(caught.value)


def test_closed_at_rest(memory, own_etcd):
    """A connection that the server closed at rest costs no write: another one is opened."""
    own_etcd.hang_up()
    assert memory.add("new", 1) is True
    assert own_etcd.etcd.asked == ["/v3/kv/range", TXN]


def test_refused_for_now(memory, own_etcd):
    """A server without a leader may have done what it was asked: a change is told as unknown."""
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
    """What etcd surely did not do is told as not done; what waiting does not mend, at once."""
    own_etcd.etcd.refuse = refusal
    with pytest.raises(StorageError, match="gRPC code") as caught:
        memory.set("k", 2)
    assert type(caught.value) is error
    own_etcd.etcd.refuse = None
    assert memory.get("k") == 1


def test_too_large(memory, own_etcd):
    """C10: a value that is too large for etcd is refused before it is sent, with both sizes."""
    with pytest.raises(
        ValueTooLargeError, match=r"has 2,000,002 bytes; etcd takes up to 1,433,600"
    ):
        memory.set("k", "x" * 2_000_000)
    assert own_etcd.etcd.asked == []


def test_foreign_key(memory, own_etcd):
    """C1: a key that is no text is none of ours, and is neither listed nor in the way."""
    space = Space("fibonacci:", "workflow", "w")
    own_etcd.etcd.keys[encode_key(space, "a") + b"\xfe"] = {"mod_revision": "1"}
    assert memory.list_keys() == ["k"]


def test_swept_behind(own_etcd):
    """C12: etcd sweeps a record after it has expired, never before."""
    expires = time.time_ns() // 1_000_000 + 1
    assert 1 <= seconds_until(expires) <= 2
    assert seconds_until(expires - 5_000) == 1
    assert lease_for(expires) >> 20 == expires
    own_etcd.etcd.grant({"ID": "1", "TTL": "0"})
    own_etcd.etcd.put({"key": "aw==", "value": "", "lease": "1"})
    own_etcd.etcd.sweep()
    assert own_etcd.etcd.keys == {}
