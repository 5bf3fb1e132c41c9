"""The index: stale entries are removed, and existing records never are."""

import random
import threading
import time
from typing import Any

import pytest
import redis
from services.standalone import Redis

from fibonacci.plugin import ABSENT, KEEP_TTL, Address, Page, Space
from fibonacci_redis.layout import space_keys
from fibonacci_redis.scripts import PRUNE

SPACE = Space("t:index:", "workflow", "w")
INDEX = space_keys(SPACE).index.decode()


@pytest.fixture
def client(open_client: Any, valkey_server: Redis) -> Any:
    client = open_client(valkey_server.url)
    yield client
    client.clear(SPACE)
    valkey_server("DEL", INDEX)


def at(key: str) -> Address:
    return Address(SPACE, key)


def test_scan_prunes_the_index(client: Any, valkey_server: Redis) -> None:
    """scan() removes the entries of expired records from the index (C12)."""
    client("write_many", [(at(f"late{number}"), b"1") for number in range(250)], 30)
    client("write_many", [(at(f"live{number}"), b"1") for number in range(3)], None)
    time.sleep(0.04)
    assert client.keys(SPACE) == ["live0", "live1", "live2"]
    assert valkey_server("ZCARD", INDEX) == 3


def test_write_prunes_the_index(client: Any, valkey_server: Redis) -> None:
    """write() bounds the index of a space that is never listed."""
    for number in range(1_000):
        client("write", at(f"k{number}"), b"1", 1)
    assert valkey_server("ZCARD", INDEX) < 600


def test_writes_leave_a_seeded_sequence_alone(client: Any) -> None:
    """A write takes nothing from the random numbers of an application that has seeded them."""
    client("write", at("first"), b"1", 60_000)
    before = random.getstate()
    client("write", at("second"), b"1", 60_000)
    assert random.getstate() == before


def test_write_many_prunes_the_index(client: Any, valkey_server: Redis) -> None:
    """write_many() bounds the index of a space that is never listed."""
    for batch in range(20):
        client("write_many", [(at(f"k{batch}-{number}"), b"1") for number in range(100)], 1)
    assert valkey_server("ZCARD", INDEX) < 1_200


def test_creating_prunes_the_index(client: Any, valkey_server: Redis) -> None:
    """compare_and_set() bounds the index of a space that is never listed."""
    for number in range(600):
        client("compare_and_set", at(f"k{number}"), ABSENT, b"1", 1)
    assert valkey_server("ZCARD", INDEX) < 500


def test_evicted_record_is_not_listed(client: Any, valkey_server: Redis) -> None:
    """A record that the server evicted is not listed (C14)."""
    client("write_many", [(at("a"), b"1"), (at("b"), b"1")], None)
    valkey_server("DEL", f"{INDEX}:a")
    assert client("scan", SPACE) == Page(["b"], None)


def test_rewritten_record_is_listed(client: Any, valkey_server: Redis) -> None:
    """A record that is written again after its entry was pruned is listed (C14)."""
    client("write", at("k"), b"1", None)
    client("write", at("k"), b"2", 20)
    time.sleep(0.03)
    assert client.keys(SPACE) == []
    client("write", at("k"), b"3", None)
    assert client.keys(SPACE) == ["k"]


def test_foreign_entries_are_not_listed(client: Any, valkey_server: Redis) -> None:
    """An entry that is not a key is not listed, and affects no page (C1)."""
    client("write_many", [(at(key), b"1") for key in ("a", "k", "z")], None)
    with redis.Redis(host=valkey_server.host, port=valkey_server.port) as driver:
        for foreign in (b"k\xff", b"\xffx"):
            driver.zadd(INDEX, {foreign: 0})
            driver.set(INDEX.encode() + b":" + foreign, b"1")
    assert client.keys(SPACE) == ["a", "k", "z"]
    for limit in (1, 2, 3):
        assert client.keys(SPACE, limit=limit) == ["a", "k", "z"]
    assert client.keys(SPACE, prefix="k") == ["k"]
    client.clear(SPACE)
    assert valkey_server("EXISTS", INDEX) == 0


def test_listing_during_pruning_is_true(
    open_client: Any, valkey_server: Redis, client: Any
) -> None:
    """Records that expire and return during a listing are listed while they exist (C14)."""
    enough = threading.Event()

    def churn() -> None:
        own = open_client(valkey_server.url, mode="sync")
        while not enough.is_set():
            own("write", at("comes"), b"1", 1)
            own("write", at("comes"), b"2", None)
            own("remove", at("comes"))

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(200):
            assert set(client.keys(SPACE)) <= {"comes"}
    finally:
        enough.set()
        thread.join()
    client("write", at("comes"), b"1", None)
    assert client.keys(SPACE) == ["comes"]


def test_record_written_during_clear_is_consistent(
    client: Any, open_client: Any, valkey_server: Redis
) -> None:
    """A record that is written during a clear exists and is listed, or neither (C6)."""
    other = open_client(valkey_server.url, mode="sync")
    for round_number in range(20):
        client("write_many", [(at(f"k{number}"), b"1") for number in range(300)], None)
        thread = threading.Thread(target=lambda: other("write", at("k150"), b"2", None))
        thread.start()
        client.clear(SPACE)
        thread.join()
        live = [key for key in ("k150",) if client("exists", at(key))]
        assert client.keys(SPACE) == live, round_number


def test_client_clock_does_not_matter(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose clock is an hour off changes nothing (C12)."""
    now = time.time
    for offset in (3_600, -3_600):
        monkeypatch.setattr(time, "time", lambda offset=offset: now() + offset)
        client("write", at("k"), b"1", 60_000)
        assert 59_000 < client("remaining_ttl_ms", at("k")) <= 60_000
        assert client.keys(SPACE) == ["k"]
        assert client("read", at("k")) == b"1"
        assert client("touch", at("k"), 30) is True
        time.sleep(0.04)
        assert client("read", at("k")) is None
        assert client.keys(SPACE) == []


LONG = b"x" * 9_000
WRITES: dict[str, Any] = {
    "write": lambda client, ttl: client("write", at("k"), b"1", ttl),
    "write again": lambda client, ttl: [client("write", at("k"), b"1", t) for t in (20, ttl)],
    "write, long": lambda client, ttl: [client("write", at("k"), LONG, t) for t in (20, ttl)],
    "write_many": lambda client, ttl: client("write_many", [(at("k"), b"1"), (at("l"), b"1")], ttl),
    "write_many again": lambda client, ttl: [
        client("write_many", [(at("k"), b"1"), (at("l"), b"1")], t) for t in (20, ttl)
    ],
    "add": lambda client, ttl: client("compare_and_set", at("k"), ABSENT, b"1", ttl),
    "add, long": lambda client, ttl: client("compare_and_set", at("k"), ABSENT, LONG, ttl),
    "cas": lambda client, ttl: [
        client("compare_and_set", at("k"), ABSENT, b"1", 5_000),
        client("compare_and_set", at("k"), b"1", b"2", ttl),
    ],
    "cas, long": lambda client, ttl: [
        client("compare_and_set", at("k"), ABSENT, b"1", 5_000),
        client("compare_and_set", at("k"), b"1", LONG, ttl),
    ],
    "cas that keeps": lambda client, ttl: [
        client("compare_and_set", at("k"), ABSENT, b"1", ttl),
        client("compare_and_set", at("k"), b"1", b"2", KEEP_TTL),
        client("compare_and_set", at("k"), b"2", LONG, KEEP_TTL),
    ],
    "touch": lambda client, ttl: [
        client("write", at("k"), b"1", 5_000),
        client("touch", at("k"), ttl),
    ],
}


@pytest.mark.parametrize("verb", WRITES)
def test_index_lives_as_long_as_its_records(verb: str, client: Any, valkey_server: Redis) -> None:
    """An index expires just after its last record, and never if one record never expires."""
    client.clear(SPACE)
    WRITES[verb](client, 30_000)
    record = int(valkey_server("PTTL", f"{INDEX}:k"))
    assert record <= int(valkey_server("PTTL", INDEX)) < 31_000
    assert record > 29_000
    client("write", at("early"), b"1", 1)
    assert int(valkey_server("PTTL", INDEX)) > 29_000
    client.clear(SPACE)
    client("write", at("early"), b"1", 60_000)
    WRITES[verb](client, None)
    assert valkey_server("PTTL", f"{INDEX}:k") == valkey_server("PTTL", INDEX) == -1


def test_expired_space_leaves_no_keys(client: Any, valkey_server: Redis) -> None:
    """A space whose records have all expired has no keys in Redis."""
    spaces = [Space("t:left:", "user", f"u{number}") for number in range(10)]
    for space in spaces:
        client("write", Address(space, "session"), b"1", 1_000)
        client("compare_and_set", Address(space, "calls"), ABSENT, b"1", 900)
    assert client.keys(spaces[-1]) == ["calls", "session"]
    end = time.monotonic() + 30
    while valkey_server("KEYS", "t:left:*") and time.monotonic() < end:
        time.sleep(0.05)
    assert valkey_server("KEYS", "t:left:*") == []


def test_persistent_record_is_listed_after_foreign_expiry(
    open_client: Any, client: Any, valkey_server: Redis
) -> None:
    """A record that another store wrote with an expiry is listed after it is persistent again."""
    other = open_client(valkey_server.url)
    client("write", at("k"), b"1", None)
    other("remove", at("k"))
    other("write", at("k"), b"2", 20)
    client("write", at("k"), b"3", None)
    time.sleep(0.2)
    assert client.keys(SPACE) == ["k"]


def test_touch_without_expiry_persists_the_index(client: Any, valkey_server: Redis) -> None:
    """touch() without an expiry makes the index persistent; on a missing record it does nothing."""
    client("write", at("k"), b"1", 400)
    assert client("touch", at("none"), None) is False
    assert client("compare_and_set", at("k"), ABSENT, b"2", None) is False
    assert int(valkey_server("PTTL", INDEX)) > 0
    assert client("touch", at("k"), None) is True
    time.sleep(0.5)
    assert client.keys(SPACE) == ["k"]


def test_pruning_spares_new_records(client: Any, valkey_server: Redis) -> None:
    """A record that is written while stale names are pruned is listed, and stays listed."""
    client("write_many", [(at("a"), b"1"), (at("x"), b"1")], 60)
    client("remove", at("x"))
    client("write", at("c"), b"for ever", None)
    time.sleep(0.7)
    names = ("a", "x")  # as they were found before
    keys = [INDEX, *(f"{INDEX}:{name}" for name in names)]
    valkey_server("EVAL", PRUNE.source.decode(), str(len(keys)), *keys, *names)
    assert client.keys(SPACE) == ["c"]
    assert valkey_server("PTTL", INDEX) == -1
