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
from services.proxy import Proxy

from fibonacci import History, MemoryConfig, OutcomeUnknownError, Turn, Workflow, generate_key
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


def open_history(config: MemoryConfig, key: str) -> History:
    """Return the history of one user, sealed with the key, if there is one."""
    sealing: dict[str, Any] = {"encrypt_values": True, "encryption_key": key} if key else {}
    settings = MemoryConfig(config.backend, config.connection_url, timeout=60, **sealing)
    return Workflow("w", settings).memory.history("chat", user_id="ada")


def questions(turns: list[Turn]) -> list[str]:
    """Return what the user said in each turn."""
    return [turn.messages[0]["content"] for turn in turns]


def start_processes(config: MemoryConfig, key: str, count: int, turns: int) -> list[Any]:
    """Start processes that are connected, and add turns once their stdin is closed."""
    settings = (f"{config.backend}", f"{config.connection_url}", key)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITERS, *settings, f"process {number}", str(turns)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
    return processes


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "sealed"])
@pytest.mark.parametrize("turns", [5, pytest.param(50, marks=pytest.mark.long)])
def test_concurrent_writers(config: MemoryConfig, key: str, turns: int) -> None:
    """Threads, tasks and processes add turns, and a slow summary is made all the time.

    The transcript has each turn once, in one order, and each is either sent to models or in the
    summary.
    """
    history = open_history(config, key)
    several = 0 if config.backend == "memory" else 4
    processes = start_processes(config, key, several, turns)
    summarized: list[str] = []
    done = Event()

    def summarize(messages: list[dict[str, Any]]) -> str:
        done.wait(0.05)
        portion = [m["content"] for m in messages if m["role"] == "user"]
        seen = [text for text in portion if not text.startswith("Summary")]
        summarized.extend(seen)
        return "summary"

    def compact() -> None:
        while not done.is_set():
            history.compact(summarize, keep_tokens=300)

    def write(number: int) -> None:
        for turn in range(turns):
            assert history.add(user=f"thread {number} {turn}", assistant="x" * 200)

    async def write_async(number: int) -> None:
        for turn in range(turns):
            assert await history.aadd(user=f"task {number} {turn}", assistant="x" * 200)

    async def all_tasks() -> None:
        await asyncio.gather(*map(write_async, range(8)))

    with ThreadPoolExecutor(10) as threads:
        compacting = threads.submit(compact)
        try:
            for process in processes:
                process.stdin.close()
            tasks = threads.submit(lambda: asyncio.run(all_tasks()))
            list(threads.map(write, range(8)))
            tasks.result()
            assert [process.wait(300) for process in processes] == [0] * several
        finally:
            done.set()
    compacting.result()
    said = questions(history.turns(limit=10_000))
    kinds = {"thread": 8, "task": 8, "process": several}
    assert sorted(said) == sorted(
        f"{kind} {number} {turn}"
        for kind, count in kinds.items()
        for number in range(count)
        for turn in range(turns)
    )
    assert questions(open_history(config, key).turns(limit=10_000)) == said
    sent = [m["content"] for m in history.messages() if m["role"] == "user"]
    assert summarized + sent[sent[0].startswith("Summary") :] == said


KILLED = """
import os, signal, sys
from fibonacci import MemoryConfig, Workflow
from fibonacci._memory.store_handle import stores_of

backend, url, when, boundary = sys.argv[1:]
memory = Workflow("w", MemoryConfig(backend, url, timeout=60)).memory
history = memory.history("chat", user_id="ada")
history.count()
store = stores_of(memory).sync_store
count = 0

def counted(method):
    async def request(*args, **kwargs):
        global count
        count += 1
        if (when, count) == ("before", int(boundary)):
            os.kill(os.getpid(), signal.SIGKILL)
        result = await method(*args, **kwargs)
        if (when, count) == ("after", int(boundary)):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return request

for name in ("read", "compare_and_set", "touch", "remaining_ttl_ms", "scan", "remove_many"):
    setattr(store, name, counted(getattr(store, name)))
history.add(user="new", assistant="x" * 1_500)
print(count)
"""


def add_and_be_killed(
    config: MemoryConfig, when: str, boundary: int
) -> subprocess.CompletedProcess[str]:
    """Add a turn in a process that is killed at a request."""
    arguments = [f"{config.backend}", f"{config.connection_url}", when, f"{boundary}"]
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
    """A process that is killed before or after any request of add() loses and doubles nothing."""
    if config.backend == "memory":
        pytest.skip("its records end with the process")
    history = open_history(config, "")
    fill(history)
    requests = int(add_and_be_killed(config, "never", 0).stdout)
    assert requests >= 3  # the head, the page and the head
    for boundary in range(1, requests + 1):
        for when in ("before", "after"):
            said = fill(history)
            killed = add_and_be_killed(config, when, boundary)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            assert questions(history.turns()) in (said, [*said, "new"])
            assert history.add(user="next", assistant="x" * 1_500, id="next")
            found = questions(history.turns())
            assert found in ([*said, "next"], [*said, "new", "next"])


@attrs.frozen
class CutReply(Pass):
    """End the connection instead of passing on one reply, after so many others."""

    others: int
    _seen: Iterator[int] = attrs.field(factory=count, init=False)

    async def on(
        self, direction: Literal["request", "reply"], data: bytes, connection: Any
    ) -> None:
        if direction == "reply" and data and next(self._seen) == self.others:
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
    for number in range(1, 30):
        turn: dict[str, Any] = {"user": f"{number}", "assistant": "x" * 1_500, "id": f"{number}"}
        with proxy.fault(CutReply(number % 5)), suppress(OutcomeUnknownError):
            assert history.add(**turn)
        history.add(**turn)
        assert not history.add(**turn)
    assert questions(history.turns()) == [f"{number}" for number in range(1, 30)]
    history.clear()
