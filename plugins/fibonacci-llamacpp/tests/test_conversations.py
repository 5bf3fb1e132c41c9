"""Histories: the roles, the order and the texts that reach the model."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Message, Model, ModelRequest, run_sync
from fibonacci_llamacpp.client import BlockingConnection, Client
from fibonacci_llamacpp.completion import prompt_tokens
from fibonacci_llamacpp.conversation import conversation
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import ModelServer
from fibonacci_llamacpp.weights import find_weights

from .model_requests import SHORT, TOKENS


def said(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


GREETING = [said("user", "I am Ada."), said("assistant", "Hello Ada.")]
BY_TURNS = [*GREETING, said("user", "And a sailor."), said("assistant", "Ahoy.")]
TEXT_BLOCKS = [{"type": "text", "text": "I am"}, {"type": "input_text", "text": "Ada."}]


@pytest.fixture
def client(model: LlamaModel) -> Iterator[Client]:
    connection = BlockingConnection(model._server.process(None), deadline=None)
    yield Client(connection)
    connection.close()


def rendered(client: Client, messages: list[Message]) -> str:
    """Return what llama.cpp itself makes of these messages."""
    text: str = run_sync(client.request("/apply-template", {"messages": messages}))["prompt"]
    return text


def sent(client: Client, request: ModelRequest) -> str:
    """Return the text of the tokens that the model gets."""
    tokens = run_sync(prompt_tokens(client, request))
    text: str = run_sync(client.request("/detokenize", {"tokens": tokens}))["content"]
    return text


@pytest.mark.parametrize("system", [None, "Be brief."])
def test_model_gets_what_llama_cpp_renders(client: Client, system: str | None) -> None:
    """Roles, order and texts are those that llama.cpp renders for the same conversation."""
    request = ModelRequest(messages=BY_TURNS, prompt="Who am I?", system_prompt=system)
    first = [] if system is None else [said("system", system)]
    expected = rendered(client, [*first, *BY_TURNS, said("user", "Who am I?")])
    assert sent(client, request) == expected
    assert expected.count("<|im_start|>") == 7  # the template has a system prompt of its own


@pytest.mark.parametrize("messages", [(), []])
def test_empty_history(client: Client, messages: Any) -> None:
    """An empty history adds nothing."""
    request = ModelRequest(prompt="Hi", system_prompt="Be brief.")
    assert sent(client, attrs.evolve(request, messages=messages)) == sent(client, request)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([said("user", "a"), said("user", "b")], [("user", "a\n\nb\n\nlast")]),
        (
            [said("user", "a"), said("assistant", "b"), said("assistant", "c")],
            [("user", "a"), ("assistant", "b\n\nc"), ("user", "last")],
        ),
        ([said("assistant", "a")], [("assistant", "a"), ("user", "last")]),
        ([said("user", TEXT_BLOCKS)], [("user", "I am\n\nAda.\n\nlast")]),
        ([said("user", "")], [("user", "last")]),
        (
            [said("user", ""), said("assistant", None)],
            [("user", ""), ("assistant", ""), ("user", "last")],
        ),
    ],
)
def test_messages_of_one_role_are_merged(
    messages: list[Message], expected: list[tuple[str, str]]
) -> None:
    """Successive messages of one role become one, the prompt included; an empty text adds none."""
    assert conversation(ModelRequest(messages=messages, prompt="last")) == expected


def test_system_messages_come_first() -> None:
    """The system prompt and all system and developer messages are one, the first message."""
    messages = [said("user", "a"), said("system", "two"), said("user", "b"), said("developer", "3")]
    request = ModelRequest(messages=messages, prompt="last", system_prompt="one")
    assert conversation(request) == [("system", "one\n\ntwo\n\n3"), ("user", "a\n\nb\n\nlast")]


@pytest.mark.parametrize(
    "message",
    [
        said("user", [{"type": "image", "source": {"data": "SECRET"}}]),
        said("assistant", [{"type": "no_such_block", "text": "SECRET"}]),
        said("tool", "SECRET"),
        said("assistant", None) | {"tool_calls": [{"function": {"name": "SECRET"}}]},
        said("narrator", "SECRET"),
    ],
)
def test_what_is_no_text_is_refused(message: Message) -> None:
    """A block that is no text, a tool's message and an unknown role are refused.

    The model is not loaded for that.
    """
    server = ModelServer(Path("no-such-file.gguf"))
    with pytest.raises(ModelError, match="the history") as caught:
        LlamaModel(server).complete(ModelRequest(messages=[*GREETING, message], prompt="Hi"))
    assert not caught.value.retryable
    assert "SECRET" not in str(caught.value)


def test_history_reaches_the_model(full_model: Model) -> None:
    """The history changes the completion, and its tokens are counted."""
    request = ModelRequest(prompt="What is my name?", max_tokens=20)
    alone = full_model.complete(request)
    completion = full_model.complete(attrs.evolve(request, messages=GREETING))
    assert completion.text != alone.text
    assert completion.usage.input_tokens > alone.usage.input_tokens


def test_sync_async_and_streams(model: Model) -> None:
    """All four methods send the history: they return the same completion, with the same usage."""
    request = attrs.evolve(SHORT, messages=BY_TURNS)

    async def run() -> list[Any]:
        *_, last = [item async for item in model.astream(request)]
        return [await model.acomplete(request), last]

    completion = model.complete(request)
    assert completion.usage.output_tokens == TOKENS
    *_, last = model.stream(request)
    assert [last, *asyncio.run(run())] == [completion] * 3
    assert completion.usage.input_tokens > model.complete(SHORT).usage.input_tokens


STRICT = (
    b"{% for m in messages %}{% if loop.index0 % 2 == 0 and m['role'] == 'assistant' %}"
    b"{{ raise_exception('Roles must alternate.') }}{% endif %}"
    b"{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
)


def test_template_that_refuses_an_order(tmp_path: Path) -> None:
    """What a template says of an order of roles that it refuses is reported, and no retry helps."""
    weights = find_weights("smollm2").read_bytes()
    start = weights.index(b"{% for message in messages %}")
    end = weights.index(b"{% endif %}\x1c", start) + len("{% endif %}")
    file = tmp_path / "strict.gguf"
    file.write_bytes(weights[:start] + STRICT.ljust(end - start) + weights[end:])
    model = LlamaModel(ModelServer(file))
    with pytest.raises(ModelError, match=r"Roles must alternate\.") as caught:
        model.complete(ModelRequest(messages=[said("assistant", "Hello there")], prompt="Hi there"))
    assert not caught.value.retryable
