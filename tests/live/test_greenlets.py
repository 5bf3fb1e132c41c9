"""gevent: deadlines hold in greenlets while others run on, or an error says why they can't."""

import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from services.dynamodb import fresh_table
from services.proxy import Proxy

from fibonacci import BackendUnavailableError, ConfigurationError, MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin._runtime import platforms
from fibonacci.testing.network import BlackHole

TOGETHER = """
from gevent import joinall, monkey, sleep, spawn
monkey.patch_all()
import sys
from time import monotonic
from fibonacci import FibonacciError, MemoryConfig, Workflow

backend, url, times = sys.argv[1:]
patient, hasty = (
    Workflow("greenlets", MemoryConfig(backend, url, timeout=seconds)).memory
    for seconds in (30, 1.5)
)
patient.delete("n")

def increment():
    for _ in range(int(times)):
        patient.increment("n")

joinall([spawn(increment) for _ in range(20)])
hasty.set("k", 1)
print(patient.get("n"), flush=True)
sys.stdin.readline()
began = monotonic()
ticks = []
spawn(lambda: [(sleep(0.02), ticks.append(1)) for _ in range(1_000)])
try:
    hasty.get("k")
except FibonacciError as error:
    print(type(error).__name__, 1.4 < monotonic() - began < 5, len(ticks) > 10)
"""


@contextmanager
def running(program: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a program in its own process."""
    command = [sys.executable, "-c", program, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("backend", "proxy", "times"),
    [
        ("redis", "valkey_proxy", 20),
        ("postgres", "postgres_proxy", 20),
        ("dynamodb", "moto_proxy", 1),
    ],
)
def test_greenlets(backend: str, proxy: str, times: int, request: pytest.FixtureRequest) -> None:
    """Greenlets increment concurrently; one that waits for a silent server ends at its deadline."""
    server: Proxy = request.getfixturevalue(proxy)
    url = fresh_table(server.url) if backend == "dynamodb" else server.url
    with running(TOGETHER, backend, url, str(times)) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{20 * times}\n"
        with server.fault(BlackHole()):
            output, errors = process.communicate("go on\n", timeout=30)
    assert output == "BackendUnavailableError True True\n"
    assert "Exception ignored" not in errors


class Unblocking(socket.socket):
    """A socket that never waits, like gevent's."""

    def setblocking(self, flag: bool) -> None:
        """Set it non-blocking, whatever the argument."""
        super().setblocking(False)


def test_sockets_without_timeouts_of_the_kernel(
    valkey_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait on a socket that never blocks ends at the deadline."""
    monkeypatch.setattr(socket, "socket", Unblocking)
    with Workflow("greenlets", MemoryConfig("redis", valkey_proxy.url, timeout=0.3)) as workflow:
        assert workflow.memory.set("k", 1)
        with valkey_proxy.fault(BlackHole()), pytest.raises(BackendUnavailableError):
            workflow.memory.get("k")


NODES = """
from gevent import monkey, sleep, spawn
monkey.patch_all()
import asyncio
import time
from fibonacci import FunctionNode, Workflow, WorkflowTimeoutError

def workflow(seconds, timeout):
    made = Workflow("w")
    made.add_node(FunctionNode("n", lambda _: time.sleep(seconds), timeout=timeout))
    return made

ticks = []
spawn(lambda: [(sleep(0.01), ticks.append(1)) for _ in range(1_000)])
for mode in (lambda one: one.execute(), lambda one: asyncio.run(one.aexecute())):
    ticks.clear()
    try:
        mode(workflow(5, 1.0))
    except WorkflowTimeoutError:
        print(len(ticks) > 5, dict(mode(workflow(0.01, 5))))
"""


def test_timeouts_of_nodes() -> None:
    """A node's timeout ends it in sync and async code, and other greenlets run on meanwhile."""
    with running(NODES) as process:
        output, _ = process.communicate(timeout=60)
    assert output == "True {'n': None}\n" * 2


LATE = """
import fibonacci
from gevent import monkey
monkey.patch_all()
workflow = fibonacci.Workflow("w")
for name in "abc":
    workflow.add_node(fibonacci.FunctionNode(name, lambda _: 1, timeout=1))
for use in (lambda: workflow.memory.get("k"), workflow.execute, lambda: list(workflow.stream())):
    try:
        use()
    except fibonacci.FibonacciError as error:
        print(error)
"""


def test_patches_that_block_all_greenlets() -> None:
    """If a waiting greenlet would block all others, each use of the memory raises at once."""
    with running(LATE) as process:
        output, errors = process.communicate(timeout=30)
    assert "never awaited" not in errors
    assert output.count("gevent has patched Python after fibonacci was imported") == 3


def patched(monkeypatch: pytest.MonkeyPatch, by: str, parts: Collection[str]) -> None:
    """Make gevent or eventlet report these modules as patched."""
    module, verb = {
        "gevent": ("gevent.monkey", "is_module_patched"),
        "eventlet": ("eventlet.patcher", "is_monkey_patched"),
    }[by]
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{verb: parts.__contains__}))


ALL = ("queue", "select", "socket", "ssl", "threading", "time")


class Far(LocalStore):
    """A store on a server."""

    retry_transient_errors = True


def test_eventlet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under eventlet a store on a server is refused, with the fix; one in the process works."""
    patched(monkeypatch, "eventlet", ALL)
    monkeypatch.setattr(platforms, "_AT_IMPORT", True)
    with pytest.raises(ConfigurationError, match=r"under eventlet.*use threads .*or gevent"):
        Workflow("w", MemoryConfig(Far())).memory.set("k", 1)
    assert Workflow("w", MemoryConfig(LocalStore())).memory.set("k", 1)


@pytest.mark.parametrize("by", ["gevent", "eventlet"])
def test_patched_after_the_import(monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    """gevent and eventlet must patch before fibonacci is imported."""
    patched(monkeypatch, by, ALL)
    with pytest.raises(ConfigurationError, match=f"{by} has patched Python after"):
        Workflow("w", MemoryConfig(LocalStore())).memory.set("k", 1)


def test_nothing_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """gevent that is imported but has patched nothing is ignored."""
    patched(monkeypatch, "gevent", ())
    assert Workflow("w", MemoryConfig(Far())).memory.set("k", 1)


def test_all_of_gevent_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the modules that gevent did not patch; with all of them a store works."""
    monkeypatch.setattr(platforms, "_AT_IMPORT", True)
    patched(monkeypatch, "gevent", ("select", "socket", "ssl", "time"))
    memory = Workflow("w", MemoryConfig(LocalStore())).memory
    with pytest.raises(ConfigurationError, match="without queue, threading: "):
        memory.set("k", 1)
    patched(monkeypatch, "gevent", ALL)
    assert memory.set("k", 1)
