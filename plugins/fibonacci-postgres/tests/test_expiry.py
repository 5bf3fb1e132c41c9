"""Expiry goes by the server's clock, and expired rows are swept."""

import subprocess
import sys

import psycopg
import pytest

from fibonacci.plugin import Address

from .stores import SPACE, TIMEOUT, A, Attempt, B, OpenStore

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
def test_clock_of_the_client(open_store: OpenStore, postgres_url: str, shift: int) -> None:
    """A client whose clock is an hour off writes and reads like all others (C12)."""
    open_store(postgres_url).write(A, b"1", 60_000)
    command = [sys.executable, "-c", SHIFTED, postgres_url, str(shift)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "True True ['long'] None\n"
    assert 0 < open_store(postgres_url).remaining_ttl_ms(A) <= 60_000


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati"])
def test_time_zone(open_store: OpenStore, postgres_url: str, zone: str) -> None:
    """The time zone of a session changes nothing."""
    store = open_store(f"{postgres_url}?options=-c%20TimeZone%3D{zone}")
    store.write(A, b"1", 60_000)
    assert 59_000 < open_store(postgres_url).remaining_ttl_ms(A) <= 60_000


def test_hundred_years(open_store: OpenStore, postgres_url: str) -> None:
    """The longest ttl there is, to the millisecond."""
    ttl_ms = 100 * 365 * 24 * 3600 * 1000
    store = open_store(postgres_url)
    store.write(A, b"1", ttl_ms)
    assert ttl_ms - 1_000 < store.remaining_ttl_ms(A) <= ttl_ms


def rows(url: str) -> int:
    """How many rows there are, expired ones too."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM fibonacci").fetchone()
    assert found
    return int(found[0])


def fill(url: str, count: int) -> None:
    """Put expired rows into the table."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO fibonacci SELECT 'x', n::text::bytea, '1', now() - interval '1 s' "
            "FROM generate_series(1, %s) AS n",
            [count],
        )


def test_swept(open_store: OpenStore, postgres_url: str) -> None:
    """Writes remove what has expired, so much at a time, in whatever space it lies."""
    open_store(postgres_url).read(A)
    fill(postgres_url, 2_500)
    store = open_store(postgres_url)
    for left in (1_501, 501, 1, 1):
        store.write(A, b"1", None)
        assert rows(postgres_url) == left


def test_swept_now_and_then(open_store: OpenStore, postgres_url: str) -> None:
    """A store that has just swept does not look again at every write."""
    store = open_store(postgres_url)
    store.write(A, b"1", None)
    fill(postgres_url, 10)
    store.write(A, b"1", None)
    store.write_many([(B, b"1")], None)
    assert rows(postgres_url) == 12


def test_sweep_waits_for_nobody(open_store: OpenStore, postgres_url: str) -> None:
    """Rows that somebody has locked are left for the next time."""
    open_store(postgres_url).read(A)
    fill(postgres_url, 10)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT FROM fibonacci WHERE key < '2' FOR UPDATE")
        attempt = Attempt(open_store(postgres_url), "write_many")
    assert attempt.error is None
    assert attempt.seconds < TIMEOUT
    assert rows(postgres_url) == 4


def test_failing_sweep(open_store: OpenStore, postgres_url: str) -> None:
    """A sweep that fails does no harm to the write that came before it."""
    store = open_store(postgres_url)
    store.read(A)
    fill(postgres_url, 10)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no'; END $$""")
        connection.execute(
            "CREATE TRIGGER refuse BEFORE DELETE ON fibonacci "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    store.write(A, b"1", None)
    assert store.read(A) == b"1"


def test_foreign_key(open_store: OpenStore, postgres_url: str) -> None:
    """Bytes that are no text in the place of a key are not listed, and end no listing (C1)."""
    store = open_store(postgres_url)
    keys = [Address(SPACE, f"k{number}") for number in range(4)]
    store.write_many([(one, b"1") for one in keys], None)
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
