"""The ``postgres`` backend against psycopg (binary, prepared) and orjson, on one server and table.

Pin it to one core, as it starts the server too: ``taskset -c 1 python benchmarks/on_postgres.py``.
A round trip is then the work of both sides and two changes between them, and ratios hold still.
``synchronous_commit`` is off for all, or a write would be one fsync and nothing else.
``--large`` adds a listing among a million records, and a clearing of a hundred thousand.
``langgraph-checkpoint-postgres`` is measured beside them where it is installed.
"""

import asyncio
import importlib
import platform
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import orjson
import psycopg
from rounds import compare, repeated, show
from values import VALUES

from fibonacci import MemoryConfig, MemoryManager, Workflow

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
postgres: Any = importlib.import_module("services.postgres")
farm: Any = importlib.import_module("services.farm")

MANY = 100
TOGETHER = 64

GOALS = {
    "ours": {
        "get": 1.3,
        "exists": 1.3,
        "set": 1.2,
        "delete": 1.2,
        "set_many, 90 B": 3.5,
        "set_many, 2 KB": 2.0,
        "async get": 1.3,
    },
}
"""Ratios to psycopg, of operations a second."""

LIVE = "(expires_at IS NULL OR expires_at > clock_timestamp())"
READ = f"SELECT value FROM fibonacci WHERE space = %b AND key = %b AND {LIVE}"
READ_MANY = f"SELECT key, value FROM fibonacci WHERE space = %b AND key = ANY(%b) AND {LIVE}"
WRITE = (
    "INSERT INTO fibonacci (space, key, value) VALUES (%b, %b, %b) ON CONFLICT (space, key) "
    "DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at"
)
REMOVE = f"DELETE FROM fibonacci WHERE space = %b AND key = %b RETURNING {LIVE}"
SPACE = b"base"


Calls = dict[str, Callable[[], object]]


def with_psycopg(connection: psycopg.Connection[Any], value: Any) -> Calls:
    """The calls with psycopg."""
    execute = connection.execute

    def get() -> Any:
        row = execute(READ, (SPACE, b"k"), binary=True).fetchone()
        assert row
        return orjson.loads(row[0])

    return {
        "get": get,
        "exists": lambda: execute(READ, (SPACE, b"k"), binary=True).fetchone() is not None,
        "set": lambda: execute(WRITE, (SPACE, b"k", orjson.dumps(value))),
        "delete": lambda: execute(REMOVE, (SPACE, b"none")).fetchone(),
    }


def with_cursor(connection: psycopg.Connection[Any], value: Any) -> Calls:
    """The calls with one psycopg cursor that is reused: the fastest way."""
    cursor = connection.cursor(binary=True)

    def get() -> Any:
        row = cursor.execute(READ, (SPACE, b"k")).fetchone()
        assert row
        return orjson.loads(row[0])

    return {
        "get": get,
        "exists": lambda: cursor.execute(READ, (SPACE, b"k")).fetchone() is not None,
        "set": lambda: cursor.execute(WRITE, (SPACE, b"k", orjson.dumps(value))),
        "delete": lambda: cursor.execute(REMOVE, (SPACE, b"none")).fetchone(),
    }


def with_ours(memory: MemoryManager, value: Any) -> Calls:
    """The calls with the memory."""
    return {
        "get": lambda: memory.get("k"),
        "exists": lambda: memory.exists("k"),
        "set": lambda: memory.set("k", value),
        "delete": lambda: memory.delete("none"),
    }


@contextmanager
def langgraph(url: str, value: Any) -> Iterator[Calls]:
    """The calls with LangGraph's PostgresStore, if it is installed."""
    try:
        store_class: Any = importlib.import_module("langgraph.store.postgres").PostgresStore
    except ImportError:
        yield {}
        return
    held = {"value": value}
    with store_class.from_conn_string(url) as store:
        store.setup()
        store.put(("base",), "k", held)
        yield {
            "get": lambda: store.get(("base",), "k").value,
            "exists": lambda: store.get(("base",), "k") is not None,
            "set": lambda: store.put(("base",), "k", held),
            "delete": lambda: store.delete(("base",), "none"),
        }


def one_by_one(size: str, value: Any, url: str, memory: MemoryManager) -> None:
    """One record a call, in sync code."""
    memory.set("k", value)
    times = 2_000 if size != "64 KB" else 300
    with connected(url) as plain, connected(url) as cursor, langgraph(url, value) as theirs:
        contenders = {
            "psycopg": with_psycopg(plain, value),
            "one cursor": with_cursor(cursor, value),
            "ours": with_ours(memory, value),
        }
        if theirs:
            contenders["langgraph"] = theirs
        for verb in ("set", "get", "exists", "delete"):
            calls = {name: repeated(one[verb]) for name, one in contenders.items()}
            show(size, verb, compare(calls, times), GOALS)


def connected(url: str) -> psycopg.Connection[Any]:
    """Return a connection for the comparison: autocommit, statements prepared at once."""
    return psycopg.connect(url, autocommit=True, prepare_threshold=0)


def batches(size: str, value: Any, url: str, memory: MemoryManager) -> None:
    """A hundred records a call."""
    keys = [f"k{number:03}" for number in range(MANY)]
    encoded = [key.encode() for key in keys]
    values = dict.fromkeys(keys, value)
    with connected(url) as connection:
        cursor = connection.cursor(binary=True)

        def write() -> None:
            cursor.executemany(WRITE, [(SPACE, key, orjson.dumps(value)) for key in encoded])

        def read() -> None:
            rows = cursor.execute(READ_MANY, (SPACE, encoded)).fetchall()
            {key.decode(): orjson.loads(data) for key, data in rows}

        ours = {
            "set_many": lambda: memory.set_many(values),
            "get_many": lambda: memory.get_many(keys),
        }
        for verb, base in {"set_many": write, "get_many": read}.items():
            calls = {"psycopg": repeated(base), "ours": repeated(ours[verb])}
            show(size, verb, compare(calls, 30 if size != "64 KB" else 5), GOALS)


def in_async_code(size: str, value: Any, url: str, memory: MemoryManager) -> None:
    """One call after the other, and many at once, on an event loop."""
    loop = asyncio.new_event_loop()
    plain = loop.run_until_complete(
        psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0)
    )
    memory.set("k", value)

    async def base_get() -> Any:
        row = await (await plain.execute(READ, (SPACE, b"k"), binary=True)).fetchone()
        assert row
        return orjson.loads(row[0])

    async def base_set() -> None:
        await plain.execute(WRITE, (SPACE, b"k", orjson.dumps(value)))

    pairs: dict[str, tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]] = {
        "get": (base_get, lambda: memory.aget("k")),
        "set": (base_set, lambda: memory.aset("k", value)),
    }

    def in_turn(call: Callable[[], Awaitable[Any]]) -> Callable[[int], object]:
        async def work(times: int) -> None:
            for _ in range(times):
                await call()

        return lambda times: loop.run_until_complete(work(times))

    def at_once(call: Callable[[], Awaitable[Any]]) -> Callable[[int], object]:
        async def work(times: int) -> None:
            for _ in range(times // TOGETHER):
                await asyncio.gather(*(call() for _ in range(TOGETHER)))

        return lambda times: loop.run_until_complete(work(times))

    for verb, (base, ours) in pairs.items():
        calls = {"psycopg": in_turn(base), "ours": in_turn(ours)}
        show(size, f"async {verb}", compare(calls, 1_000), GOALS)
        calls = {"psycopg": at_once(base), "ours": at_once(ours)}
        show(size, f"async {verb} at once", compare(calls, 10 * TOGETHER), GOALS)
    loop.run_until_complete(plain.close())
    loop.run_until_complete(memory.aclose())
    loop.close()


def large(url: str) -> None:
    """Milliseconds to list a thousand keys of a million, and to clear a hundred thousand."""
    config = MemoryConfig(backend="postgres", connection_url=url, timeout=60)
    memories = [Workflow(f"w{number}", config).memory for number in range(10)]
    listed, cleared = Workflow("listed", config).memory, Workflow("cleared", config).memory
    listed.set_many({f"k{number}": 1 for number in range(1_000)})
    with connected(url) as connection:
        for memory in memories:
            fill(connection, memory, 100_000)
        connection.execute("VACUUM ANALYZE fibonacci")
        show_time("list 1,000 of 1,001,000", [timed(listed.list_keys) for _ in range(50)])
        times = []
        for _ in range(5):
            fill(connection, cleared, 100_000)
            times.append(timed(cleared.clear))
        show_time("clear 100,000", times)


def fill(connection: psycopg.Connection[Any], memory: MemoryManager, count: int) -> None:
    """Fill a memory with so many records of 100 bytes: copies of one that it wrote itself."""
    memory.set("k", "x" * 98)
    connection.execute(
        "INSERT INTO fibonacci SELECT space, key || n::text::bytea, value "
        "FROM (SELECT * FROM fibonacci ORDER BY xmin::text::bigint DESC LIMIT 1) AS newest, "
        "generate_series(2, %s) AS n",
        (count,),
    )


def timed(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    start = perf_counter()
    call()
    return perf_counter() - start


def show_time(name: str, times: list[float]) -> None:
    """Print the median in milliseconds."""
    print(f"{name:43}{median(times) * 1e3:9.2f} ms", flush=True)


def main() -> None:
    """Print the table: medians of elapsed and CPU time, and ratios to psycopg."""
    print(f"Python {platform.python_version()}, psycopg {psycopg.__version__}, PostgreSQL 18")
    print(f"{'':43}{'wall':>12}{'cpu':>12}{'ratio':>9}{'cpu':>9}  goal")
    with suppress(KeyboardInterrupt), postgres.standalone(autovacuum="off") as server:
        url = f"{server.url}?options=-c%20synchronous_commit%3Doff"
        for size, value in VALUES.items():
            config = MemoryConfig(backend="postgres", connection_url=url)
            memory = Workflow("benchmark", config).memory
            memory.set("k", value)
            one_by_one(size, value, url, memory)
            batches(size, value, url, memory)
            if size != "64 KB":
                in_async_code(size, value, url, memory)
        if "--large" in sys.argv:
            large(url)
    farm.close()


if __name__ == "__main__":
    main()
