"""Large tables: the cost of a verb depends on the size of its space, not of the table."""

import json

import psycopg
import pytest

from fibonacci.plugin import Space
from fibonacci_postgres.codec import encode_int4, encode_space
from fibonacci_postgres.statements import build_statements

from .stores import SPACE, StoreClient, create_backend

pytestmark = pytest.mark.long

FILL = """
INSERT INTO fibonacci (space, key, value)
SELECT %b, convert_to(to_char(n, 'FM0000000'), 'UTF8'), %b FROM generate_series(1, %s) AS n
"""


def fill(url: str, space: Space, count: int) -> None:
    """Insert records of 100 bytes into a space."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL, (encode_space(space), b"x" * 100, count))
        connection.execute("VACUUM ANALYZE fibonacci")


def count_pages_read(url: str, sql: bytes, *parameters: object) -> int:
    """Return how many pages of 8 KiB a statement reads."""
    with psycopg.connect(url, cursor_factory=psycopg.RawCursor) as connection:
        explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT json) " + sql
        row = connection.execute(explained, parameters).fetchone()
    assert row
    plan = (row[0] if isinstance(row[0], list) else json.loads(row[0]))[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_scan_reads_few_pages(postgres_url: str) -> None:
    """Scanning a thousand keys of a million reads fewer than 100 pages."""
    store = StoreClient("sync", create_backend(postgres_url, timeout=60))
    store.scan(SPACE)
    for number in range(10):
        fill(postgres_url, SPACE._replace(owner=f"other{number}"), 100_000)
    fill(postgres_url, SPACE, 1_000)
    scan = build_statements('"fibonacci"').scan.sql
    parameters = (encode_space(SPACE), b"", b"\xff", int.from_bytes(encode_int4(1_000)))
    assert count_pages_read(postgres_url, scan, *parameters) < 100
    assert count_pages_read(postgres_url, b"SELECT count(value) FROM fibonacci") > 15_000
    assert len(store.scan(SPACE).keys) == 1_000
    store.shut_down()


def test_clear_works_in_batches(postgres_url: str) -> None:
    """clear() deletes 100,000 records in eleven calls, and none of other spaces."""
    store = StoreClient("sync", create_backend(postgres_url, timeout=60))
    store.scan(SPACE)
    for owner in ("nv", "nx"):
        fill(postgres_url, SPACE._replace(owner=owner), 1_000)
    fill(postgres_url, SPACE, 100_000)
    steps, cursor = 1, store.clear(SPACE)
    while cursor is not None:
        steps, cursor = steps + 1, store.clear(SPACE, cursor=cursor)
    assert steps == 11
    assert store.scan(SPACE).keys == []
    for owner in ("nv", "nx"):
        assert len(store.scan(SPACE._replace(owner=owner)).keys) == 1_000
    store.shut_down()
