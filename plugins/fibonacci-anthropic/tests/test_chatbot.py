"""The reference's complete example as it is written: Redis, the SDK, and a real model behind it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from services.llama import KEY, Llama
from services.standalone import Redis

from fibonacci import Workflow

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "tests" / "reference" / "REFERENCE.md").read_text(encoding="utf-8")
EXAMPLE = REFERENCE.split("## Complete Example")[1].split("```python\n")[1].split("```")[0]
URL = "redis://localhost:6379/0"

USERS = {"ada": "zebra", "bob": "walrus"}
"""Each user has a word that the other one never says."""
TURNS = 11

Chat = Callable[[str, str], str]


@pytest.fixture
def example(
    local_model: Llama, own_valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The names of the example; the server's address is ours, and all else is the reference's."""
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


def as_it_is_written(names: dict[str, Any]) -> Iterator[Chat]:
    yield names["chat_with_user"]


def in_an_event_loop(names: dict[str, Any]) -> Iterator[Chat]:
    """The same with ``await``."""
    workflow: Workflow = names["workflow"]

    async def chat(user_id: str, message: str) -> str:
        memory = workflow.memory.for_user(user_id)
        history = await memory.aget("history", default=[])
        result = await workflow.aexecute(inputs={"message": message}, user_id=user_id)
        history.append({"role": "user", "content": message})
        history.append({"role": "assistant", "content": result["chat"]})
        await memory.aset("history", history[-20:])
        return str(result["chat"])

    async def close() -> None:
        await workflow.aclose()

    with asyncio.Runner() as runner:
        yield lambda user, message: runner.run(chat(user, message))
        runner.run(close())


@pytest.mark.parametrize("voice", [as_it_is_written, in_an_event_loop])
def test_two_users_talk(
    voice: Callable[[dict[str, Any]], Iterator[Chat]], example: dict[str, Any]
) -> None:
    """Eleven turns of two users in turn: the last twenty messages of each, and none of the other's."""
    memory, said = example["workflow"].memory, {user: [] for user in USERS}
    for chat in voice(example):
        for turn in range(TURNS):
            for user, word in USERS.items():
                message = f"{word} {turn}"
                answer = chat(user, message)
                said[user] += [
                    {"role": "user", "content": message},
                    {"role": "assistant", "content": answer},
                ]
                assert answer
    for user, other in (("ada", "walrus"), ("bob", "zebra")):
        kept = memory.get("history", scope="user", user_id=user)
        assert kept == said[user][-20:]
        assert len(kept) == 20
        assert other not in str(kept)
