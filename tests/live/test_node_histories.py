"""Nodes with a history on every backend: threads and tasks, streamed and not, plain and sealed."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fibonacci import LLMNode, MemoryConfig, Workflow, generate_key
from fibonacci.plugin import ModelRequest

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ON = ("memory", "sqlite", "redis", "postgres", "dynamodb")

KEY = generate_key()


def reply(request: ModelRequest) -> str:
    return f"I heard {request.prompt!r}, after {len(request.messages)} messages. {'x' * 200}"


def summarize(request: ModelRequest) -> str:
    return f"{len(request.prompt.splitlines())} lines."


def chatting(config: MemoryConfig, key: str = "") -> Workflow:
    """Return a workflow whose node has a history of up to 1,000 tokens, and a summary."""
    sealing: dict[str, Any] = {"encrypt_values": True, "encryption_key": key} if key else {}
    settings = MemoryConfig(config.backend, config.connection_url, timeout=60, **sealing)
    workflow = Workflow("w", settings)
    history: Any = {"key": "chat", "max_tokens": 1_000, "compact": {"model": summarize}}
    workflow.add_node(LLMNode("answer", reply, "{{input.message}}", history=history))
    return workflow


def last_of(events: Any) -> Any:
    *_, finished = events
    return finished.result


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "sealed"])
def test_concurrent_runs_of_one_user(config: MemoryConfig, key: str) -> None:
    """Of 40 runs at once, in threads and tasks, each adds its turn once, and all succeed."""
    workflow = chatting(config, key)

    def in_thread(number: int) -> Any:
        inputs = {"message": f"thread {number}"}
        if number % 2:
            return workflow.execute(inputs, user_id="ada")
        return last_of(workflow.stream(inputs, user_id="ada"))

    async def in_tasks() -> list[Any]:
        return await asyncio.gather(
            *(workflow.aexecute({"message": f"task {n}"}, user_id="ada") for n in range(20))
        )

    with ThreadPoolExecutor(5) as threads:
        results = threads.map(in_thread, range(20))
        finished = [*asyncio.run(in_tasks()), *results]
    history = workflow.memory.history("chat", user_id="ada")
    turns = history.turns()
    expected = {f"{kind} {number}" for kind in ("thread", "task") for number in range(20)}
    assert {turn.messages[0]["content"] for turn in turns} == expected
    assert {turn.messages[1]["content"] for turn in turns} == {one["answer"] for one in finished}
    assert len(turns) == 40
    compactions = [one.trace["answer"].compaction for one in finished]
    assert any(one is not None and one.stored for one in compactions)
    assert not [one for one in compactions if one is not None and one.error]
    assert history.messages()[0]["content"].startswith("Summary of the conversation so far: ")


def test_conversation_in_several_processes_of_one_key(config: MemoryConfig) -> None:
    """A conversation goes on in another workflow, whose model is sent what the first one added."""
    if config.backend == "memory":
        config = MemoryConfig(connection_url="memory://node-histories-live")
    for number in range(4):
        workflow = chatting(config)
        with workflow:
            result = workflow.execute({"message": f"{number}"}, user_id="ada")
            assert f"after {2 * number} messages" in result["answer"]
            if config.backend == "memory" and not number:
                keeper = chatting(config)
                assert keeper.memory.history("chat", user_id="ada").count() == 1
