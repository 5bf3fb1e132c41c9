"""Concurrent changes of one record in one process: redis-py's WATCH, and ours.

Each appends turns to one JSON list, a chat's history, which is cut to twenty. redis-py does it
with a WATCH, a GET, and a SET in a MULTI, again until it holds: the way its documentation shows.
"""

import asyncio
import importlib
import platform
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import orjson
import redis
import redis.asyncio

from fibonacci import MemoryConfig, MemoryManager, Workflow
from fibonacci.testing.threads import run_concurrently

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
valkey: Any = importlib.import_module("services.valkey")
farm: Any = importlib.import_module("services.farm")

ROUNDS = 5
TURN = {"role": "user", "content": "x" * 60}
KEPT = 20
CALLERS = {"1 thread": 1, "8 threads": 8, "40 threads": 40, "20 tasks": 20, "100 tasks": 100}
TIMES = 50
"""Turns that a thread appends. A task appends one."""


def appended(data: bytes | None) -> bytes:
    """Return the list with one more turn."""
    return orjson.dumps([*(orjson.loads(data) if data else []), TURN][-KEPT:])


def watched(client: Any) -> None:
    """Append with redis-py."""
    with client.pipeline() as pipe:
        while True:
            try:
                pipe.watch("turns")
                data = appended(pipe.get("turns"))
                pipe.multi()
                pipe.set("turns", data)
                pipe.execute()
            except redis.WatchError:
                continue
            return


async def awatched(client: Any) -> None:
    """Append with redis-py on an event loop."""
    async with client.pipeline() as pipe:
        while True:
            try:
                await pipe.watch("turns")
                data = appended(await pipe.get("turns"))
                pipe.multi()
                pipe.set("turns", data)
                await pipe.execute()
            except redis.WatchError:
                continue
            return


def several(call: Callable[[], object]) -> Callable[[], None]:
    """Return the work of each thread."""

    def work() -> None:
        for _ in range(TIMES):
            call()

    return work


async def in_tasks(call: Callable[[], Awaitable[object]], number: int) -> None:
    """Make the call in so many tasks."""
    await asyncio.gather(*(call() for _ in range(number)))


def measured(control: redis.Redis, work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds and commands that the work takes: medians of some rounds."""
    seconds, commands = [], []
    work()
    for _ in range(ROUNDS):
        control.config_resetstat()
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
        stats: Any = control.info("commandstats")
        commands.append(sum(one["calls"] for one in stats.values()) - 1)
    return median(seconds), median(commands)


def compare(name: str, number: int, url: str, memory: MemoryManager) -> None:
    """Print a line."""
    control = redis.Redis.from_url(url)
    loop = asyncio.new_event_loop()
    run = loop.run_until_complete
    if "task" in name:
        awaiting = redis.asyncio.Redis.from_url(url)
        found = [
            measured(control, lambda: run(in_tasks(lambda: awatched(awaiting), number))),
            measured(control, lambda: run(in_tasks(append_async(memory), number))),
        ]
        run(awaiting.aclose())
        changes = number
    else:
        client = redis.Redis.from_url(url)
        work = [several(lambda: watched(client))] * number
        found = [
            measured(control, lambda: run_concurrently(work)),
            measured(control, lambda: run_concurrently([several(lambda: append(memory))] * number)),
        ]
        changes = number * TIMES
    (base, base_commands), (ours, our_commands) = found
    print(
        f"{name:12}{changes:9}{base * 1e3:12.1f} ms{ours * 1e3:10.1f} ms{base / ours:8.1f}"
        f"{base_commands / changes:12.1f}{our_commands / changes:8.1f}",
        flush=True,
    )
    loop.close()


def append(memory: MemoryManager) -> int:
    """Append with the memory."""
    return memory.append("turns", TURN, max_items=KEPT)


def append_async(memory: MemoryManager) -> Callable[[], Awaitable[int]]:
    """Append with the memory in async code."""
    return lambda: memory.aappend("turns", TURN, max_items=KEPT)


def main() -> None:
    """Print the table: times, their ratio, and the server's commands for a change."""
    with valkey.standalone() as server:
        print(f"Python {platform.python_version()}, redis-py {redis.__version__}")
        print(
            f"{'':12}{'changes':>9}{'WATCH':>15}{'ours':>13}{'ratio':>8}{'commands':>12}{'ours':>8}"
        )
        config = MemoryConfig(backend="redis", connection_url=server.url, timeout=60)
        memory = Workflow("benchmark", config).memory
        for name, number in CALLERS.items():
            compare(name, number, server.url, memory)
    farm.close()


if __name__ == "__main__":
    main()
