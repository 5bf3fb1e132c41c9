"""The reference's snippets on DynamoDB, and its complete example in two processes."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from forks import in_child

from fibonacci import MemoryConfig, Workflow, register_plugin
from fibonacci.plugin import Completion, Model, ModelRequest, ModelSettings, hookimpl

from .conftest import Open

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "tests/reference/REFERENCE.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
SIGNATURE = re.compile(r"memory\.(\w+)\(([^()]*: [^()]*)\) -> .*\n")
ENCRYPTED = "encrypt_values=True"
CHATBOT = next(snippet for snippet in SNIPPETS if "def chat_with_user" in snippet)
PROGRAMS = [
    text
    for text in (SIGNATURE.sub("", snippet).strip() for snippet in SNIPPETS)
    if text and ENCRYPTED not in text and "chat_with_user" not in text
]


class Remembering(Model):
    """A model that returns how much of a history it received."""

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=f"I know of {request.prompt.count('role')} turns")


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """Return the model for every name that starts with claude-."""
    return Remembering()


@pytest.fixture(autouse=True)
def claude() -> Iterator[None]:
    """Registers a model for the names in the reference."""
    plugin = SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_model=fibonacci_model)
    with register_plugin("models", "claude-", plugin):
        yield


def on_dynamodb(program: str, url: str) -> str:
    """Return the program with another backend: two strings, and nothing else."""
    program = program.replace('backend="redis"', 'backend="dynamodb"')
    return re.sub(r'connection_url="redis://[^"]*"', f'connection_url="{url}"', program)


def test_reference_has_eight_programs():
    """The reference has eight programs that need neither a cipher nor a chat."""
    assert len(PROGRAMS) == 8


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_snippet_runs(program: str, table_url: str):
    """A snippet of the reference runs unchanged on DynamoDB."""
    with Workflow("my-workflow", MemoryConfig("dynamodb", table_url)) as workflow:
        names: dict[str, Any] = {
            "Workflow": Workflow,
            "LLMNode": None,
            "memory": workflow.memory,
            "data": {"step": 1},
            "prefs": {"theme": "dark"},
            "kb": ["fact"],
            "config": {"limit": 3},
        }
        exec("from fibonacci import LLMNode", names)
        exec(compile(on_dynamodb(program, table_url), "REFERENCE.md", "exec"), names)
        if "workflow" in names:
            names["workflow"].close()


@pytest.mark.bare
def test_complete_example_in_two_processes(table_url: str, open_memory: Open):
    """The chatbot remembers in a second process what a user said in the first."""
    source = compile(on_dynamodb(CHATBOT, table_url), "REFERENCE.md", "exec")

    def chat(*messages: str) -> list[str]:
        names: dict[str, Any] = {}
        exec(source, names)
        replies = [names["chat_with_user"]("user-123", message) for message in messages]
        names["workflow"].close()
        return replies

    open_memory(table_url).exists("k")  # creates the table, and imports boto3
    in_child(lambda: chat("Hello", "again") == ["I know of 0 turns", "I know of 2 turns"])
    assert chat("And now?") == ["I know of 4 turns"]
    for _ in range(10):
        chat("more")
    assert chat("At last") == ["I know of 20 turns"]
