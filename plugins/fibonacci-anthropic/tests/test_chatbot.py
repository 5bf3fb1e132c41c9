"""The reference's complete example unchanged: Redis, the SDK, and a real model."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from services.llama import KEY, Llama
from services.standalone import Redis

from fibonacci import NodeText, Workflow

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "tests" / "reference" / "REFERENCE.md").read_text(encoding="utf-8")
EXAMPLE = REFERENCE.split("## Complete Example")[1].split("```python\n")[1].split("```")[0]
URL = "redis://localhost:6379/0"

USERS = {"ada": "zebra", "bob": "walrus"}
"""Each user's word is not in the other user's messages."""
FEW, MANY = 3, 11

Chat = Callable[[str, str], str]


@pytest.fixture
def example(
    local_model: Llama, own_valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The names that the example defines; only the server's URL is replaced."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", local_model.url)
    assert EXAMPLE.count(URL) == 1
    names: dict[str, Any] = {}
    exec(compile(EXAMPLE.replace(URL, own_valkey.url), "REFERENCE.md", "exec"), names)
    workflow: Workflow = names["workflow"]
    for user in USERS:
        workflow.memory.clear(scope="user", user_id=user)
    with workflow:
        yield names


@contextmanager
def unchanged(names: dict[str, Any]) -> Iterator[Chat]:
    yield names["chat_with_user"]


@contextmanager
def in_an_event_loop(names: dict[str, Any]) -> Iterator[Chat]:
    """The example in async code."""
    workflow: Workflow = names["workflow"]

    async def chat(user_id: str, message: str) -> str:
        memory = workflow.memory.for_user(user_id)
        history = await memory.aget("history", default=[])
        result = await workflow.aexecute(inputs={"message": message}, user_id=user_id)
        history.append({"role": "user", "content": message})
        history.append({"role": "assistant", "content": result["chat"]})
        await memory.aset("history", history[-20:])
        return str(result["chat"])

    with asyncio.Runner() as runner:
        yield lambda user, message: runner.run(chat(user, message))
        runner.run(workflow.aclose())


@contextmanager
def streamed(names: dict[str, Any]) -> Iterator[Chat]:
    """The example with a streamed run."""
    workflow: Workflow = names["workflow"]

    def execute(inputs: dict[str, str], user_id: str) -> dict[str, str]:
        events = list(workflow.stream(inputs=inputs, user_id=user_id))
        pieces = [event.text for event in events if isinstance(event, NodeText)]
        assert len(pieces) > 1
        return {"chat": "".join(pieces)}

    names["workflow"] = SimpleNamespace(memory=workflow.memory, execute=execute)
    yield names["chat_with_user"]
    names["workflow"] = workflow


@pytest.mark.parametrize(
    ("mode", "turns"),
    [
        (unchanged, FEW),
        pytest.param(unchanged, MANY, marks=pytest.mark.long),
        pytest.param(in_an_event_loop, MANY, marks=pytest.mark.long),
        pytest.param(streamed, MANY, marks=pytest.mark.long),
    ],
)
def test_two_users_have_separate_histories(
    mode: Callable[[dict[str, Any]], AbstractContextManager[Chat]],
    turns: int,
    example: dict[str, Any],
) -> None:
    """Each user's history has the last twenty messages, and none of the other user's."""
    messages: dict[str, list[dict[str, str]]] = {user: [] for user in USERS}
    with mode(example) as chat:
        for turn in range(turns):
            for user, word in USERS.items():
                message = f"{word} {turn}"
                messages[user].append({"role": "user", "content": message})
                messages[user].append({"role": "assistant", "content": chat(user, message)})
        stored = {user: example["workflow"].memory.for_user(user).get("history") for user in USERS}
    for user, other in (("ada", "walrus"), ("bob", "zebra")):
        assert stored[user] == messages[user][-20:]
        assert len(stored[user]) == min(20, 2 * turns)
        assert all(message["content"] for message in stored[user])
        assert other not in str(stored[user])
