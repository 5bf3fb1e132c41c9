"""Large tables: listing and clearing cost what the space holds, not what the table does."""

import time
from statistics import median

import psycopg
import pytest

from fibonacci.plugin import Space

from .speaking import SPACE, Speaker, backend

pytestmark = pytest.mark.long

FILL = """
INSERT INTO fibonacci (space, key, value)
SELECT %b, convert_to(to_char(n, 'FM0000000'), 'UTF8'), %b FROM generate_series(1, %s) AS n
"""


def fill(url: str, space: Space, count: int) -> None:
    """Put records of 100 bytes into a space."""
    from fibonacci_postgres.wire import space_bytes

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL, (space_bytes(space), b"x" * 100, count))
        connection.execute("VACUUM ANALYZE fibonacci")


def milliseconds(store: Speaker, verb: str, space: Space) -> float:
    """How long it takes to page through a space by a verb."""
    start = time.perf_counter()
    cursor = getattr(store, verb)(space)
    while cursor := getattr(cursor, "cursor", cursor):
        cursor = getattr(store, verb)(space, cursor=cursor)
    return (time.perf_counter() - start) * 1e3


def test_listing(postgres_url: str) -> None:
    """A thousand keys among a million are listed in 1.5 ms."""
    store = Speaker("sync", backend(postgres_url, timeout=60))
    store.read_many([])
    store.scan(SPACE)
    for number in range(10):
        fill(postgres_url, SPACE._replace(owner=f"other{number}"), 100_000)
    fill(postgres_url, SPACE, 999)
    times = [milliseconds(store, "scan", SPACE) for _ in range(50)]
    print(f"list 999 of 1,000,999: {median(times):.2f} ms")  # noqa: T201
    assert median(times) < 3 * 1.5
    store.end()


def test_clearing(postgres_url: str) -> None:
    """A hundred thousand records are cleared in steps, none of them long."""
    store = Speaker("sync", backend(postgres_url, timeout=60))
    store.scan(SPACE)
    fill(postgres_url, SPACE._replace(owner="other"), 100_000)
    times = []
    for _ in range(5):
        fill(postgres_url, SPACE, 100_000)
        times.append(milliseconds(store, "clear", SPACE))
    print(f"clear 100,000: {median(times):.0f} ms")  # noqa: T201
    assert store.scan(SPACE).keys == []
    assert len(store.scan(SPACE._replace(owner="other")).keys) == 1_000
    assert median(times) < 1_000
    store.end()
