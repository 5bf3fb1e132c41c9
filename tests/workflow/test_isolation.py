"""Concurrent executions of one workflow have separate users, memory, outputs and traces."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from fibonacci import ExecutionResult, FunctionNode, LLMNode, MemoryConfig, MemoryKey, Workflow


@pytest.fixture
def chat(config: MemoryConfig) -> Iterator[Workflow]:
    """A workflow that reads its user's name, and writes its output."""
    with Workflow("chat", config) as workflow:
        workflow.add_node(FunctionNode("who", lambda ctx: ctx.user_id))
        workflow.add_node(FunctionNode("mine", lambda ctx: ctx.memory.get("name", scope="user")))
        workflow.add_node(
            LLMNode(
                "ask",
                "echo",
                "{{who}}|{{mine}}|{{memory.name}}|{{input.x}}",
                memory_read=["name"],
                memory_write=[
                    {"key": "said", "scope": "user"},
                    {"key": "turns", "scope": "user", "mode": "append"},
                    {"key": "by-{{input.x}}"},
                ],
            )
        )
        yield workflow


def check(workflow: Workflow, number: int, result: ExecutionResult) -> None:
    """An execution saw its own user and nothing else."""
    said = f"u{number}|name{number}|name{number}|{number}"
    assert dict(result) == {"who": f"u{number}", "mine": f"name{number}", "ask": said}
    assert result.trace["ask"].read == (MemoryKey("user", "name"),)
    assert result.trace["ask"].written[2] == MemoryKey("user", f"by-{number}")
    user = workflow.memory.for_user(f"u{number}")
    assert (user.get("said"), user.get("turns")) == (said, [said])
    assert user.list_keys(pattern="by-*") == [f"by-{number}"]


def test_executions_in_threads_are_isolated(chat: Workflow) -> None:
    """24 executions on 8 threads each see only their own user."""
    together = Barrier(8)

    def one(number: int) -> ExecutionResult:
        chat.memory.set("name", f"name{number}", scope="user", user_id=f"u{number}")
        together.wait(10)
        return chat.execute({"x": number}, user_id=f"u{number}")

    with ThreadPoolExecutor(8) as pool:
        for number, result in enumerate(pool.map(one, range(24))):
            check(chat, number, result)


def test_executions_in_tasks_are_isolated(chat: Workflow) -> None:
    """50 executions in 50 tasks each see only their own user."""

    async def one(number: int) -> ExecutionResult:
        await chat.memory.aset("name", f"name{number}", scope="user", user_id=f"u{number}")
        return await chat.aexecute({"x": number}, user_id=f"u{number}")

    async def main() -> list[ExecutionResult]:
        return await asyncio.gather(*map(one, range(50)))

    for number, result in enumerate(asyncio.run(main())):
        check(chat, number, result)


def test_concurrent_appends_lose_nothing(config: MemoryConfig) -> None:
    """40 executions that append to one list lose nothing (C16)."""
    workflow = Workflow("log", config)
    workflow.add_node(
        FunctionNode("n", lambda ctx: ctx.inputs["x"], memory_write={"key": "k", "mode": "append"})
    )
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: workflow.execute({"x": number}), range(40)))
    assert sorted(workflow.memory.get("k")) == list(range(40))


def test_run_without_a_user_sees_no_users_memory(config: MemoryConfig, execute: Any) -> None:
    """A run without a user finds nothing of the user of the run before it."""
    workflow = Workflow("chat", config)
    workflow.add_node(LLMNode("n", "echo", "<{{memory.k}}>", memory_read=["k"]))
    workflow.memory.set("k", "mine", scope="user", user_id="u")
    assert execute(workflow, user_id="u")["n"] == "<mine>"
    assert execute(workflow)["n"] == execute(workflow, user_id="v")["n"] == "<>"
