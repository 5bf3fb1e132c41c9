"""Expiry: it follows the server's clock, and writes delete expired rows."""

import subprocess
import sys

import psycopg
import pytest

from fibonacci.plugin import Address

from .stores import (
    SPACE,
    TIMEOUT,
    A,
    Attempt,
    B,
    OpenStore,
    insert_expired,
    reject_deletes,
)

SHIFTED = """
import sys, time
shift = float(sys.argv[2])
real = time.time
time.time = lambda: real() + shift
time.time_ns = lambda: int((real() + shift) * 1e9)
from fibonacci import MemoryConfig, Workflow
memory = Workflow("w", MemoryConfig(backend="postgres", connection_url=sys.argv[1])).memory
memory.set("short", 1, ttl=0.001)
memory.set("long", 1, ttl=1800)
print(memory.exists("long"), 1700 < memory.ttl("long") <= 1800, end=" ")
while memory.exists("short"):
    time.sleep(0.005)
print(memory.list_keys(), memory.get("seen"))
"""


@pytest.mark.parametrize("mode", ["sync"])
@pytest.mark.parametrize("shift", [-3600, 3600])
def test_client_clock_is_ignored(open_store: OpenStore, postgres_url: str, shift: int) -> None:
    """A client whose clock is an hour off writes and reads like all others (C12)."""
    open_store(postgres_url).write(A, b"1", 60_000)
    command = [sys.executable, "-c", SHIFTED, postgres_url, str(shift)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True True ['long'] None\n"
    assert 0 < open_store(postgres_url).remaining_ttl_ms(A) <= 60_000


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati"])
def test_time_zone_is_ignored(open_store: OpenStore, postgres_url: str, zone: str) -> None:
    """The time zone of a session does not change a ttl."""
    store = open_store(f"{postgres_url}?options=-c%20TimeZone%3D{zone}")
    store.write(A, b"1", 60_000)
    assert 59_000 < open_store(postgres_url).remaining_ttl_ms(A) <= 60_000


def test_longest_ttl(open_store: OpenStore, postgres_url: str) -> None:
    """The longest ttl, a hundred years, is stored to the millisecond."""
    ttl_ms = 100 * 365 * 24 * 3600 * 1000
    store = open_store(postgres_url)
    store.write(A, b"1", ttl_ms)
    assert ttl_ms - 1_000 < store.remaining_ttl_ms(A) <= ttl_ms


def count_rows(url: str) -> int:
    """Return how many rows the table has, including expired ones."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM fibonacci").fetchone()
    assert found
    return int(found[0])


def test_writes_delete_expired_rows(open_store: OpenStore, postgres_url: str) -> None:
    """Writes delete expired rows of all spaces, a limited number at a time."""
    open_store(postgres_url).read(A)
    insert_expired(postgres_url, 2_500)
    store = open_store(postgres_url)
    for left in (1_501, 501, 1, 1):
        store.write(A, b"1", None)
        assert count_rows(postgres_url) == left


def test_sweeps_are_rate_limited(open_store: OpenStore, postgres_url: str) -> None:
    """A store that has just swept does not sweep again at every write."""
    store = open_store(postgres_url)
    store.write(A, b"1", None)
    insert_expired(postgres_url, 10)
    store.write(A, b"1", None)
    store.write_many([(B, b"1")], None)
    assert count_rows(postgres_url) == 12


def test_sweep_skips_locked_rows(open_store: OpenStore, postgres_url: str) -> None:
    """A sweep skips rows that are locked."""
    open_store(postgres_url).read(A)
    insert_expired(postgres_url, 10)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT FROM fibonacci WHERE key < '2' FOR UPDATE")
        attempt = Attempt(open_store(postgres_url), "write_many")
    assert attempt.error is None
    assert attempt.seconds < TIMEOUT
    assert count_rows(postgres_url) == 4


def test_failed_sweep_does_not_fail_the_write(open_store: OpenStore, postgres_url: str) -> None:
    """A failed sweep does not fail the write before it."""
    store = open_store(postgres_url)
    store.read(A)
    insert_expired(postgres_url, 10)
    reject_deletes(postgres_url)
    store.write(A, b"1", None)
    assert store.read(A) == b"1"


def test_scan_skips_keys_that_are_not_utf8(open_store: OpenStore, postgres_url: str) -> None:
    """scan() skips keys that are not UTF-8, and lists all others (C1)."""
    store = open_store(postgres_url)
    keys = [Address(SPACE, f"k{number}") for number in range(4)]
    store.write_many([(address, b"1") for address in keys], None)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO fibonacci SELECT space, '\\x6b31ff'::bytea, '1' FROM fibonacci LIMIT 1"
        )
    for limit in (1, 2, 3, 1_000):
        page = store.scan(SPACE, limit=limit)
        listed = list(page.keys)
        while page.cursor is not None:
            page = store.scan(SPACE, cursor=page.cursor, limit=limit)
            listed += page.keys
        assert listed == ["k0", "k1", "k2", "k3"]
