"""A turn more in a chat history, and the window that a model is sent, at several lengths.

For each backend: what an ``add`` takes on average and at most, over whole cycles of pages, and
what ``messages(max_tokens=3000)`` takes; with requests and bytes, counted at the connection. Beside
it the sessions of openai-agents and the savers of LangGraph, if they are installed. Run it with
``python benchmarks/histories.py [LENGTH ...]``.
"""

import asyncio
import importlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import attrs

from fibonacci import History, MemoryConfig, Workflow
from fibonacci._memory.history.adoption import build, write_pages
from fibonacci._memory.history.layout import StoredTurn
from fibonacci._memory.history.messages import estimate_tokens
from fibonacci.testing.network import Proxy, Traffic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
valkey: Any = importlib.import_module("services.valkey")
postgres: Any = importlib.import_module("services.postgres")
dynamodb: Any = importlib.import_module("services.dynamodb")
farm: Any = importlib.import_module("services.farm")

LENGTHS = (100, 10_000, 100_000)
ADDS = 500
READS = 50
WINDOW = 3_000
"""Tokens."""

TURN = [
    {"role": "user", "content": "Where did I say that I live? ".ljust(80, ".")},
    {"role": "assistant", "content": "You live in Oslo, near the harbour. ".ljust(120, ".")},
]
"""200 bytes of text."""


@attrs.frozen(kw_only=True)
class Measured:
    """What one call took."""

    mean: float
    """Seconds."""
    worst: float
    requests: float | None = None
    """On average; None if there is no connection to count at."""
    kilobytes: float | None = None


def measure(call: Callable[[], object], times: int, proxy: Proxy | None) -> Measured:
    """Call several times, and count what passes the proxy."""
    seconds = []
    with proxy.record() if proxy else _nothing() as traffic:
        for _ in range(times):
            start = perf_counter()
            call()
            seconds.append(perf_counter() - start)
    return Measured(
        mean=fmean(seconds),
        worst=max(seconds),
        requests=traffic and traffic.round_trips / times,
        kilobytes=traffic and (len(traffic.requests) + len(traffic.replies)) / times / 1024,
    )


@contextmanager
def _nothing() -> Iterator[Traffic | None]:
    yield None


def fill(history: History, length: int) -> None:
    """Store so many turns at once: what as many adds leave, in a fraction of the time."""

    async def store() -> None:
        records = history._sync_view._records
        tokens = sum(estimate_tokens(message, records.address) for message in TURN)
        turn = StoredTurn(id="x" * 12, added_at=1_764_500_000_000, tokens=tokens, messages=TURN)
        head, pages = build(records, [turn] * length)
        await write_pages(records, head, pages)
        data, deadline = records.serialize_head(head), records.due()
        await records.handle.store.write(records.address, data, None, deadline=deadline)

    from fibonacci.plugin._run import run_sync

    run_sync(store())


def ours(name: str, config: MemoryConfig, proxy: Proxy | None, lengths: list[int]) -> None:
    """Print the rows of one backend."""
    with Workflow("benchmark", config) as workflow:
        for length in lengths:
            history = workflow.memory.history(f"chat {length}", user_id="ada")
            fill(history, length)
            history.add(*TURN)
            add = measure(partial(history.add, *TURN), ADDS, proxy)
            read = measure(partial(history.messages, max_tokens=WINDOW), READS, proxy)
            row(name, length, add, read)
            history.clear()


def row(name: str, length: int, add: Measured, read: Measured) -> None:
    """Print one row of the table."""
    cells = [f"{name:28}{length:>9,}"]
    for one in (add, read):
        cells.append(f"{one.mean * 1000:>9.2f}{one.worst * 1000:>9.2f}")
        counted = one.requests is not None and one.kilobytes is not None
        cells.append(f"{one.requests:>6.2f}{one.kilobytes:>8.1f}" if counted else " " * 14)
    print("".join(cells), flush=True)


def openai_agents(lengths: list[int], folder: Path, redis_url: str) -> None:
    """Print the rows of the sessions of openai-agents, on SQLite and Redis."""
    agents: Any = importlib.import_module("agents")
    redis_session: Any = importlib.import_module("agents.extensions.memory.redis_session")

    async def rows(name: str, session: Any, length: int) -> None:
        for start in range(0, length, 1_000):
            await session.add_items(TURN * min(1_000, length - start))
        times: dict[str, list[float]] = {"add": [], "read": []}
        for _ in range(ADDS):
            begin = perf_counter()
            await session.add_items(TURN)
            times["add"].append(perf_counter() - begin)
        for _ in range(READS):
            begin = perf_counter()
            await session.get_items(limit=2 * WINDOW // 58)
            times["read"].append(perf_counter() - begin)
        add, read = (
            Measured(mean=fmean(seconds), worst=max(seconds)) for seconds in times.values()
        )
        row(name, length, add, read)

    async def main() -> None:
        for length in lengths:
            name = f"session-{length}"
            session = agents.SQLiteSession(name, folder / "sessions.db")
            await rows("openai-agents SQLiteSession", session, length)
            session.close()
            session = redis_session.RedisSession.from_url(name, url=redis_url)
            await rows("openai-agents RedisSession", session, length)
            await session.close()

    asyncio.run(main())


def langgraph(lengths: list[int], folder: Path, postgres_url: str) -> None:
    """Print the rows of LangGraph's savers, on SQLite and PostgreSQL."""
    graphs: Any = importlib.import_module("langgraph.graph")
    sqlite: Any = importlib.import_module("langgraph.checkpoint.sqlite")
    postgresql: Any = importlib.import_module("langgraph.checkpoint.postgres")

    builder = graphs.StateGraph(graphs.MessagesState)
    builder.add_node("chat", lambda state: {})
    builder.set_entry_point("chat")
    savers = {
        "LangGraph SqliteSaver": sqlite.SqliteSaver.from_conn_string(str(folder / "graph.db")),
        "LangGraph PostgresSaver": postgresql.PostgresSaver.from_conn_string(postgres_url),
    }
    for name, opened in savers.items():
        with opened as saver:
            saver.setup()
            graph = builder.compile(checkpointer=saver)
            for length in lengths:
                config = {"configurable": {"thread_id": f"{length}"}}
                graph.update_state(config, {"messages": TURN * length})
                turn = {"messages": TURN}
                add = measure(lambda: graph.update_state(config, turn), 20, None)  # noqa: B023
                read = measure(
                    lambda: graph.get_state(config).values["messages"][-100:],  # noqa: B023
                    20,
                    None,
                )
                row(name, length, add, read)


@contextmanager
def proxied(server: Any, url: str) -> Iterator[tuple[str, Proxy]]:
    """Yield the URL of a server through a proxy, and the proxy."""
    with Proxy(server.host, server.port) as proxy:
        yield url.replace(f":{server.port}", f":{proxy.port}"), proxy


def main(lengths: list[int]) -> None:
    """Print the tables."""
    print(f"Python {platform.python_version()}; {ADDS} adds, {READS} reads; milliseconds")
    print(
        f"{'':37}{'add':>9}{'worst':>9}{'req':>6}{'KB':>8}{'read':>9}{'worst':>9}{'req':>6}{'KB':>8}"
    )
    redis_server, postgres_server = valkey.standalone(), postgres.standalone()
    redis_url, postgres_url = redis_server.url, postgres_server.url
    with tempfile.TemporaryDirectory() as folder:
        ours("memory", MemoryConfig(), None, lengths)
        ours("sqlite", MemoryConfig("sqlite", f"sqlite:///{folder}/h.db"), None, lengths)
        for kind, server in (("redis", redis_server), ("postgres", postgres_server)):
            ours(kind, MemoryConfig(kind, server.url), None, lengths)
            with proxied(server, server.url) as (url, proxy):
                ours(f"{kind} through a proxy", MemoryConfig(kind, url), proxy, lengths)
        on_dynamodb(lengths)
        print()
        for peer in (
            lambda: openai_agents(lengths, Path(folder), redis_url),
            lambda: langgraph([n for n in lengths if n <= 10_000], Path(folder), postgres_url),
        ):
            try:
                peer()
            except ImportError as error:
                print(f"not installed: {error.name}")


def on_dynamodb(lengths: list[int]) -> None:
    """Print the rows of DynamoDB, on moto."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
    server = dynamodb.moto()
    with proxied(server, server.fresh) as (url, proxy):
        ours("dynamodb through a proxy", MemoryConfig("dynamodb", url), proxy, lengths)


if __name__ == "__main__":
    try:
        main([int(length) for length in sys.argv[1:]] or list(LENGTHS))
    finally:
        farm.close()
