"""Histories on every backend: many writers, killed processes and cut connections."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from threading import Event
from typing import Any, Literal

import attrs
import pytest
from programs import start_programs
from services.proxy import Proxy

from fibonacci import (
    History,
    MemoryConfig,
    MemoryManager,
    OutcomeUnknownError,
    Turn,
    Workflow,
    generate_key,
)
from fibonacci.testing.network.faults import CutError, Pass

ON = ("memory", "sqlite", "redis", "postgres", "dynamodb")

KEY = generate_key()

WRITERS = """
import sys
from fibonacci import MemoryConfig, Workflow

backend, url, key, name, turns = sys.argv[1:]
sealing = {"encrypt_values": True, "encryption_key": key} if key else {}
history = Workflow("w", MemoryConfig(backend, url, timeout=60, **sealing)).memory.history(
    "chat", user_id="ada"
)
history.count()
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(turns)):
    assert history.add(user=f"{name} {number}", assistant="x" * 200)
"""


def open_memory(config: MemoryConfig, *keys: str) -> MemoryManager:
    """Return a memory that is sealed with the first key; an empty one is none."""
    sealing: dict[str, Any] = {"encrypt_values": True, "encryption_key": keys} if any(keys) else {}
    settings = MemoryConfig(config.backend, config.connection_url, timeout=60, **sealing)
    return Workflow("w", settings).memory


def open_history(config: MemoryConfig, key: str) -> History:
    """Return the history of one user in such a memory."""
    return open_memory(config, key).history("chat", user_id="ada")


def questions(turns: list[Turn]) -> list[str]:
    """Return what the user said in each turn."""
    return [turn.messages[0]["content"] for turn in turns]


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "sealed"])
def test_concurrent_writers(config: MemoryConfig, key: str, request: pytest.FixtureRequest) -> None:
    """Threads, tasks and processes add turns, and a slow summary is made all the time.

    The transcript has each turn once, in one order that all readers agree on at all times, and
    each turn is either sent to models or in the summary.
    """
    is_slow = config.backend == "dynamodb" and not request.config.getoption("--long")
    turns = 5 if is_slow else 50
    history = open_history(config, key)
    several = 0 if config.backend == "memory" else 4
    settings = (f"{config.backend}", f"{config.connection_url}", key)
    processes = start_programs(
        WRITERS, [(*settings, f"process {number}", f"{turns}") for number in range(several)]
    )
    summarized: list[str] = []
    done = Event()

    def summarize(messages: list[dict[str, Any]]) -> str:
        done.wait(0.05)
        portion = [m["content"] for m in messages if m["role"] == "user"]
        seen = [text for text in portion if not text.startswith("Summary")]
        summarized.extend(seen)
        return "summary"

    def compact() -> int:
        stored = 0
        while not done.is_set():
            stored += history.compact(summarize, keep_tokens=300)
        return stored

    def read() -> list[list[str]]:
        reader = open_history(config, key)
        found = []
        while not done.wait(0.1):
            found.append(questions(reader.turns(limit=10_000)))
        return found

    def write(number: int) -> None:
        for turn in range(turns):
            assert history.add(user=f"thread {number} {turn}", assistant="x" * 200)

    async def write_async(number: int) -> None:
        for turn in range(turns):
            assert await history.aadd(user=f"task {number} {turn}", assistant="x" * 200)

    async def all_tasks() -> None:
        await asyncio.gather(*map(write_async, range(8)))

    with ThreadPoolExecutor(11) as threads:
        compacting, reading = threads.submit(compact), threads.submit(read)
        try:
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
            tasks = threads.submit(lambda: asyncio.run(all_tasks()))
            list(threads.map(write, range(8)))
            tasks.result()
            assert [process.wait(300) for process in processes] == [0] * several
        finally:
            done.set()
    assert compacting.result() >= 1
    said = questions(history.turns(limit=10_000))
    kinds = {"thread": 8, "task": 8, "process": several}
    assert sorted(said) == sorted(
        f"{kind} {number} {turn}"
        for kind, count in kinds.items()
        for number in range(count)
        for turn in range(turns)
    )
    for found in reading.result():
        assert found == said[: len(found)]
    sent = [m["content"] for m in history.messages() if m["role"] == "user"]
    assert summarized + sent[sent[0].startswith("Summary") :] == said


KILLED = """
import os, signal, sys
from fibonacci import MemoryConfig, Workflow
from fibonacci._memory.store_handle import stores_of

backend, url, boundary = sys.argv[1:]
memory = Workflow("w", MemoryConfig(backend, url, timeout=60)).memory
history = memory.history("chat", user_id="ada")
history.count()
store = stores_of(memory).sync_store
count = 0

def counted(method):
    async def request(*args, **kwargs):
        global count
        count += 1
        result = await method(*args, **kwargs)
        if count == int(boundary):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return request

for name in ("read", "compare_and_set", "touch", "remaining_ttl_ms", "scan", "remove_many"):
    setattr(store, name, counted(getattr(store, name)))
history.add(user="new", assistant="x" * 1_500)
print(count)
"""


def add_and_be_killed(config: MemoryConfig, boundary: int) -> subprocess.CompletedProcess[str]:
    """Add a turn in a process that is killed after a request; 0: after none."""
    arguments = [f"{config.backend}", f"{config.connection_url}", f"{boundary}"]
    return subprocess.run(  # its end is checked
        [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, timeout=60
    )


def fill(history: History) -> list[str]:
    """Fill the history so that the next turn moves a page; return what was said."""
    history.clear()
    for number in range(14):
        history.add(user=f"{number}", assistant="x" * 1_500)
    return [f"{number}" for number in range(14)]


def test_process_that_is_killed(config: MemoryConfig) -> None:
    """A process that is killed between any two requests of add() loses and doubles nothing."""
    if config.backend == "memory":
        pytest.skip("its records end with the process")
    history = open_history(config, "")
    fill(history)
    requests = int(add_and_be_killed(config, 0).stdout)
    assert requests >= 3  # the head, the page and the head
    for boundary in range(1, requests + 1):
        said = fill(history)
        killed = add_and_be_killed(config, boundary)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        done = said if boundary < requests else [*said, "new"]
        assert questions(history.turns()) == done
        assert history.add(user="next", assistant="x" * 1_500, id="next")
        assert questions(history.turns()) == [*done, "next"]


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "sealed"])
def test_operations(config: MemoryConfig, key: str) -> None:
    """A list is adopted, listed, read, limited, renewed, re-encrypted and cleared."""
    memory = open_memory(config, key)
    history = memory.history("chat", user_id="ada")
    turns = [{"user": f"{number}", "assistant": "x" * 500} for number in range(60)]
    memory.set("chat", turns, "user", "ada", ttl=900)
    assert history.adopt() is True
    assert questions(history.turns(limit=100)) == [turn["user"] for turn in turns]
    assert [message["content"] for message in history.messages(max_tokens=300)][::2] == ["58", "59"]
    assert [(one.key, one.count) for one in memory.histories(user_id="ada")] == [("chat", 60)]
    assert history.touch(90_000) is True
    left = [memory.ttl(each, "user", "ada") or 0 for each in memory.list_keys("user", "ada")]
    assert len(left) > 5
    assert all(89_000 < left[0] <= each <= 90_000 + 3_600 for each in left)
    if key:
        memory = open_memory(config, generate_key(), key)
        history = memory.history("chat", user_id="ada")
        assert memory.rewrap("user", "ada") == len(left)
    for number in range(60, 80):
        assert history.add(user=f"{number}", assistant="x" * 500, max_turns=10)
    assert questions(history.turns()) == [f"{number}" for number in range(70, 80)]
    assert len(memory.list_keys("user", "ada")) < len(left)
    assert history.clear() is True
    assert memory.list_keys("user", "ada") == []


@attrs.frozen
class CutReply(Pass):
    """End the connection instead of passing on one reply, after so many others."""

    others: int
    _seen: Iterator[int] = attrs.field(factory=count, init=False)
    _struck: list[int] = attrs.field(factory=list, init=False)

    @property
    def has_struck(self) -> bool:
        """Whether there was such a reply."""
        return bool(self._struck)

    async def on(
        self, direction: Literal["request", "reply"], data: bytes, connection: Any
    ) -> None:
        if direction == "reply" and data and next(self._seen) == self.others:
            self._struck.append(self.others)
            connection.strike(CutError(), times=None)
        await connection.send(direction, data)


@pytest.fixture(params=["redis", "postgres"])
def proxied(request: pytest.FixtureRequest) -> Iterator[tuple[MemoryConfig, Proxy]]:
    """A configuration that reaches its server through a proxy."""
    server = request.getfixturevalue(
        {"redis": "valkey_server"}.get(request.param, "postgres_server")
    )
    with Proxy(server) as proxy:
        url = proxy.url
        if request.param == "postgres":
            own = request.getfixturevalue("postgres_url")
            url = own.replace(f":{server.port}/", f":{proxy.port}/")
        yield MemoryConfig(request.param, url, key_prefix="cut:", timeout=20), proxy


def test_cut_replies(proxied: tuple[MemoryConfig, Proxy]) -> None:
    """Whichever reply of add() is lost: the turn is added once, also if it is tried again."""
    config, proxy = proxied
    history = Workflow("w", config).memory.history("chat", user_id="ada")
    history.clear()
    struck = 0
    for number in range(1, 30):
        turn: dict[str, Any] = {"user": f"{number}", "assistant": "x" * 1_500, "id": f"{number}"}
        cut, was_added = CutReply(number % 3), None
        with proxy.fault(cut), suppress(OutcomeUnknownError):
            was_added = history.add(**turn)
        struck += cut.has_struck
        assert was_added in (True, None)
        assert history.add(**turn) in ((True, False) if was_added is None else (False,))
        assert not history.add(**turn)
    assert struck >= 20  # only some turns take a third request
    assert questions(history.turns()) == [f"{number}" for number in range(1, 30)]
    history.clear()
