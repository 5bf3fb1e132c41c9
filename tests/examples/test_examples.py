"""The programs in examples/ do what they say."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fibonacci import Workflow, register_plugin
from fibonacci.plugin import Completion, Model, ModelRequest, ModelSettings, hookimpl

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Answering(Model):
    """Answers with what it was asked last."""

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=f"You said: {request.prompt.splitlines()[-3]}")


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """The model behind every name that starts with claude-."""
    return Answering()


@pytest.fixture
def claude() -> Iterator[None]:
    """A model that answers to the names that the examples use."""
    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_model=fibonacci_model)
    with register_plugin("models", "claude-", plugin):
        yield


@pytest.fixture
def chatbot(claude: None) -> Iterator[dict[str, Any]]:
    """The chatbot's names; its server is swapped for this process."""
    source = (EXAMPLES / "chatbot.py").read_text().replace('backend="redis"', 'backend="memory"')
    source = source.replace('connection_url="redis://localhost:6379/0", ', "")
    names: dict[str, Any] = {"__name__": "chatbot"}
    exec(compile(source, "chatbot.py", "exec"), names)
    yield names
    workflow: Workflow = names["workflow"]
    for user in ("ada", "bob"):
        workflow.memory.clear(scope="user", user_id=user)
    workflow.close()


def test_the_chatbot_keeps_the_last_twenty_messages_of_each_user(chatbot: dict[str, Any]):
    """Twelve turns of two users: each history has its own last twenty messages, in order."""
    for turn in range(12):
        for user in ("ada", "bob"):
            answer = chatbot["chat_with_user"](user, f"{user} {turn}")
            assert answer == f"You said: User: {user} {turn}"
    for user in ("ada", "bob"):
        history = chatbot["workflow"].memory.get("history", scope="user", user_id=user)
        assert [one["content"] for one in history if one["role"] == "user"] == [
            f"{user} {turn}" for turn in range(2, 12)
        ]


def test_the_newsroom_tells_less_to_whom_it_has_told_much(capsys: pytest.CaptureFixture[str]):
    """The nodes run in their order, and the third story is shorter, as two are remembered."""
    runpy.run_path(str(EXAMPLES / "newsroom.py"))["main"]("echo")
    told = capsys.readouterr().out
    assert told.startswith("flowchart TD")
    assert "Tell this in 3 sentences, in a dry tone: Summarize: The river rose." in told
    assert "Tell this in 1 sentences, in a dry tone: Summarize: The bridge is closed." in told
    assert told.endswith("remembered for ada: ['preferences', 'told'], 3 stories\n")
