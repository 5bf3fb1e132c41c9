"""The ``redis`` backend against redis-py with its defaults (hiredis) and orjson, on one server.

Pin it to one core, as it starts the server too: ``taskset -c 1 python benchmarks/on_redis.py``.
A round trip is then the work of both sides and two changes between them, and ratios hold still.
``--large`` adds a listing among a million records, and a clearing of a hundred thousand.
"sealed" is our backend with ``fibonacci-crypto``, beside redis-py without any encryption.
``py-key-value-aio[redis]`` is measured beside them where it is installed.
"""

import asyncio
import importlib
import platform
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import attrs
import hiredis
import orjson
import redis
import redis.asyncio
from rounds import compare, repeated, show
from values import VALUES

from fibonacci import MemoryConfig, MemoryManager, Workflow, generate_key

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
valkey: Any = importlib.import_module("services.valkey")
farm: Any = importlib.import_module("services.farm")

MANY = 100
TOGETHER = 64

GOALS = {
    "ours": {
        "get": 1.5,
        "exists": 1.5,
        "set": 1.4,
        "set, 2 KB": 1.3,
        "set_many": 2.5,
        "async get": 1.8,
        "async set": 1.8,
        "async get at once": 5.0,
        "async set at once": 5.0,
    },
    "sealed": {"get, 2 KB": 1.4, "set, 2 KB": 1.25},
}
"""Ratios to redis-py with plain values, of operations a second."""


def one_by_one(
    size: str, value: Any, url: str, memory: MemoryManager, sealed: MemoryManager
) -> None:
    """One record a call, in sync code."""
    client = redis.Redis.from_url(url)
    client.set("base", orjson.dumps(value))
    memory.set("ours", value)
    sealed.set("sealed", value)
    fresh, times = count(), 2_000 if size != "64 KB" else 500
    verbs: dict[str, tuple[Callable[[], object], ...]] = {
        "get": (
            lambda: orjson.loads(client.get("base")),  # type: ignore[arg-type]
            lambda: memory.get("ours"),
            lambda: sealed.get("sealed"),
        ),
        "exists": (lambda: client.exists("base"), lambda: memory.exists("ours")),
        "set": (
            lambda: client.set("base", orjson.dumps(value)),
            lambda: memory.set("ours", value),
            lambda: sealed.set("sealed", value),
        ),
        "set with ttl": (
            lambda: client.set("base", orjson.dumps(value), px=3_600_000),
            lambda: memory.set("ours", value, ttl=3600),
        ),
        "set, new": (
            lambda: client.set(f"n{next(fresh)}", orjson.dumps(value)),
            lambda: memory.set(f"n{next(fresh)}", value),
        ),
        "delete": (lambda: client.delete("none"), lambda: memory.delete("none")),
    }
    for verb, calls in verbs.items():
        names = ("redis-py", "ours", "sealed")
        runs = {name: repeated(call) for name, call in zip(names, calls, strict=False)}
        show(size, verb, compare(runs, times), GOALS)
    client.flushdb()
    client.close()


def batches(size: str, value: Any, url: str, memory: MemoryManager) -> None:
    """A hundred records a call."""
    client = redis.Redis.from_url(url)
    keys = [f"k{number}" for number in range(MANY)]
    values = dict.fromkeys(keys, value)

    def base_set() -> None:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, orjson.dumps(value))
        pipeline.execute()

    writes = {"redis-py": repeated(base_set), "ours": repeated(lambda: memory.set_many(values))}
    show(size, "set_many", compare(writes, 30), GOALS)
    reads = {
        "redis-py": repeated(lambda: [orjson.loads(one) for one in client.mget(keys)]),  # type: ignore[union-attr]
        "ours": repeated(lambda: memory.get_many(keys)),
    }
    show(size, "get_many", compare(reads, 30), GOALS)
    client.flushdb()
    client.close()


def in_async_code(size: str, value: Any, url: str, memory: MemoryManager) -> None:
    """In async code: one at a time, and 64 at once."""
    with asyncio.Runner() as runner:
        client = redis.asyncio.Redis.from_url(url)
        runner.run(client.set("base", orjson.dumps(value)))
        runner.run(memory.aset("ours", value))
        peer = _peer(url)
        calls = {"get": _gets(client, memory, peer), "set": _sets(client, memory, peer, value)}
        for verb, contenders in calls.items():
            if peer is not None and verb == "get":
                runner.run(peer.put("peer", {"value": value}))
            for title, together in ((f"async {verb}", 1), (f"async {verb} at once", TOGETHER)):
                runs = {name: _in_loop(runner, call, together) for name, call in contenders.items()}
                show(size, title, compare(runs, 1_280), GOALS)
        runner.run(client.flushdb())
        runner.run(client.aclose())


Call = Callable[[], Awaitable[Any]]


def _gets(client: Any, memory: MemoryManager, peer: Any) -> dict[str, Call]:
    async def base() -> Any:
        return orjson.loads(await client.get("base"))

    calls: dict[str, Call] = {"redis-py": base, "ours": lambda: memory.aget("ours")}
    return calls | ({"py-key-value": lambda: peer.get("peer")} if peer else {})


def _sets(client: Any, memory: MemoryManager, peer: Any, value: Any) -> dict[str, Call]:
    calls: dict[str, Call] = {
        "redis-py": lambda: client.set("base", orjson.dumps(value)),
        "ours": lambda: memory.aset("ours", value),
    }
    return calls | ({"py-key-value": lambda: peer.put("peer", {"value": value})} if peer else {})


def _in_loop(runner: asyncio.Runner, call: Call, together: int) -> Callable[[int], object]:
    async def work(times: int) -> None:
        for _ in range(times):
            await call()

    async def all_together(times: int) -> None:
        await asyncio.gather(*[work(times // together) for _ in range(together)])

    return lambda times: runner.run(all_together(times // together * together))


def _peer(url: str) -> Any:
    with suppress(ImportError):
        stores: Any = importlib.import_module("key_value.aio.stores.redis")
        return stores.RedisStore(url=url)
    return None


def large(url: str) -> None:
    """List a thousand keys among a million records, and clear one scope of 100,000."""
    client = redis.Redis.from_url(url)
    _fill(client, 1_000, 1_000)
    memory = Workflow("w500", MemoryConfig(backend="redis", connection_url=url)).memory
    assert len(memory.list_keys()) == 1_000
    times = []
    for _ in range(51):
        start = perf_counter()
        memory.list_keys()
        times.append(perf_counter() - start)
    print(f"list 1,000 of 1,000,000: {median(times) * 1e3:.2f} ms (goal: 1)")
    big = Workflow("big", MemoryConfig(backend="redis", connection_url=url)).memory
    took = _clear(big)
    client.config_set("slowlog-log-slower-than", 0)
    client.config_set("slowlog-max-len", 100_000)
    client.slowlog_reset()
    _clear(big)
    slowest = max(entry["duration"] for entry in client.slowlog_get(100_000))
    print(f"clear 100,000: {took * 1e3:.0f} ms (goal: 200); longest call {slowest / 1e3:.2f} ms")


def _clear(memory: MemoryManager) -> float:
    for start in range(0, 100_000, 10_000):
        memory.set_many({f"k{number}": 1 for number in range(start, start + 10_000)})
    start = monotonic()
    memory.clear()
    return monotonic() - start


def _fill(client: Any, spaces: int, records: int) -> None:
    """Write as the backend does, in batches of a thousand."""
    for number in range(spaces):
        index = f"fibonacci:v1:{{w:w{number}}}"
        client.zadd(index, {f"k{key}": 0 for key in range(records)})
        client.mset({f"{index}:k{key}": b"1" for key in range(records)})


def main() -> None:
    """Print a table."""
    with valkey.standalone() as server:
        url = server.url
        version = redis.Redis.from_url(url).info("server")
        print(
            f"Python {platform.python_version()}, redis-py {redis.__version__}, "
            f"hiredis {hiredis.__version__}, Valkey {version.get('valkey_version')}"
        )
        head = f"{'clock':>12}{'own work':>12}{'ratio':>9}{'work':>9}  goal"
        print(f"{'size':7}{'verb':20}{'':14}{head}")
        config = MemoryConfig(backend="redis", connection_url=url)
        memory = Workflow("benchmark", config).memory
        secret = attrs.evolve(config, encrypt_values=True, encryption_key=generate_key())
        sealed = Workflow("benchmark", secret).memory
        for size, value in VALUES.items():
            one_by_one(size, value, url, memory, sealed)
            batches(size, value, url, memory)
            in_async_code(size, value, url, memory)
        if "--large" in sys.argv[1:]:
            large(url)
    farm.close()


if __name__ == "__main__":
    main()
