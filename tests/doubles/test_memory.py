"""fresh_memory(): memory for tests, instead of every other."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from fibonacci import (
    ConfigurationError,
    FunctionNode,
    MemoryConfig,
    MemoryManager,
    StorageError,
    Workflow,
)
from fibonacci.testing import fresh_memory

NOWHERE = MemoryConfig("redis", "redis://127.0.0.1:1/0", timeout=0.2)
"""An address without a server: each request fails."""


@pytest.fixture
def app() -> Iterator[MemoryManager]:
    """The memory of an app, created on import: before any test."""
    with Workflow("app", NOWHERE) as workflow:
        yield workflow.memory


def test_existing_memory_is_replaced(app: MemoryManager) -> None:
    """An existing memory is empty in the block, sync and async, and restored after it."""
    view = app.for_user("ada")
    with fresh_memory() as memory:
        app.set("k", 1)
        asyncio.run(view.aappend("history", "Hello"))
        assert view.get("history") == asyncio.run(app.aget("history", "user", "ada")) == ["Hello"]
        assert memory.for_user("ada").list_keys() == ["history"]
    with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        app.get("k")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        asyncio.run(app.aget("k"))


def test_memory_created_in_the_block() -> None:
    """A memory that is created in the block shares its data, and has its own store afterwards."""
    with fresh_memory(), Workflow("app", NOWHERE) as early:
        early.memory.set("k", 1)
        late = Workflow("app")
        assert late.memory.get("k") == 1
    assert late.memory.get("k") is None
    with Workflow("app", NOWHERE) as workflow, pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        workflow.memory.get("k")


def test_each_is_fresh() -> None:
    """Each block starts empty, also for the built-in memory, whose data is back afterwards."""
    memory = Workflow("app").memory
    memory.set("k", "mine")
    for _ in range(2):
        with suppress(KeyError), fresh_memory():
            assert memory.get("k") is None
            memory.set("k", "theirs")
            raise KeyError
    assert memory.get("k") == "mine"
    memory.delete("k")


def test_nested_blocks(app: MemoryManager) -> None:
    """The inner block's memory is used until it ends."""
    with fresh_memory():
        app.set("k", "outer")
        with fresh_memory():
            assert app.get("k") is None
            app.set("k", "inner")
        assert app.get("k") == "outer"


def test_runs(app: MemoryManager) -> None:
    """Nodes read and write the block's memory, in whichever thread they run."""
    workflow = Workflow("app", NOWHERE)
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.memory.increment("n"), memory_write="last"))
    with fresh_memory():
        thread = Thread(target=workflow.execute, kwargs={"user_id": "ada"})
        thread.start()
        thread.join()
        assert app.for_user("ada").get_many(["n", "last"]) == {"n": 1, "last": 1}


def test_many_changes_at_once(app: MemoryManager) -> None:
    """Concurrent changes lose nothing, as on any backend."""
    with fresh_memory():
        threads = [Thread(target=lambda: [app.increment("n") for _ in range(50)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert app.get("n") == 400


def test_closed_memory_stays_closed(app: MemoryManager) -> None:
    """A closed memory stays closed, in the block and after it."""
    closed = Workflow("closed", NOWHERE)
    closed.close()
    with fresh_memory() as memory:
        with pytest.raises(StorageError, match="was closed"):
            closed.memory.get("k")
        inside = Workflow("inside", NOWHERE)
        inside.close()
    for one in (inside.memory, memory):
        with pytest.raises(StorageError, match="was closed"):
            one.get("k")
    with pytest.raises(StorageError, match="was closed"):
        asyncio.run(inside.memory.aget("k"))


def test_memory_closed_by_aclose() -> None:
    """``aclose`` in the block releases the memory's handle."""

    async def work() -> None:
        with fresh_memory():
            async with Workflow("app", NOWHERE) as workflow:
                await workflow.memory.aset("k", 1)

    asyncio.run(work())
    with fresh_memory(), Workflow("app", NOWHERE) as workflow:
        assert workflow.memory.get("k") is None


def test_settings_are_checked() -> None:
    """An invalid URL is refused, as in the app."""
    with fresh_memory(), pytest.raises(ConfigurationError):
        Workflow("app", MemoryConfig("redis", "postgresql://localhost/db"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child(app: MemoryManager) -> None:
    """A forked child has a copy of the data, and connects to nothing."""
    with fresh_memory():
        app.set("k", 1)
        child = os.fork()
        if not child:
            os._exit(0 if app.get("k") == 1 and app.set("k", 2) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert app.get("k") == 1


APP = """
from fibonacci import LLMNode, MemoryConfig, Workflow

support = Workflow("support", MemoryConfig("redis", "redis://127.0.0.1:1/0"))
support.add_node(LLMNode("chat", "claude-sonnet-5-5", "{{memory.history}} {{input.message}}",
    memory_read=["history"], memory_write={"key": "history", "mode": "append"}))
"""

TESTS = """
import unittest
from app import support
from fibonacci.testing import ScriptedModel, fresh_memory, override_model

def test_one(fibonacci_memory):
    with override_model("claude-*", ScriptedModel("Hello", "Ada")) as model:
        support.execute({"message": "Hi"}, user_id="ada")
        assert support.execute({"message": "Who?"}, user_id="ada")["chat"] == "Ada"
    assert model.requests[1].prompt == '["Hello"] Who?'

def test_two(fibonacci_memory):
    assert fibonacci_memory.for_user("ada").list_keys() == []

class Tests(unittest.TestCase):
    def setUp(self):
        self.memory = self.enterContext(fresh_memory())
        self.model = self.enterContext(override_model("claude-*", ScriptedModel("Hello")))

    def test_three(self):
        support.execute({"message": "Hi"}, user_id="ada")
        self.assertEqual(self.memory.for_user("ada").get("history"), ["Hello"])
"""


def test_an_app_under_pytest_and_unittest(tmp_path: Path) -> None:
    """The tests of an app without its server and model pass under pytest and unittest."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "test_app.py").write_text(TESTS)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    for runner, summary in (
        (["pytest", "-p", "fibonacci_pytest", "-q", "-c", os.devnull, "test_app.py"], "3 passed"),
        (["unittest", "-q", "test_app.Tests"], "Ran 1 test"),
    ):
        command = [sys.executable, "-m", *runner]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, summary in done.stdout + done.stderr) == (0, True), done
