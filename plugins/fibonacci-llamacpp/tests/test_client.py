"""Errors of llama.cpp's server, the real one and a fake one."""

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fibonacci import LLMNode, NodeExecutionError, Retry, Workflow
from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest, run_sync
from fibonacci_llamacpp.client import BlockingConnection, Client
from fibonacci_llamacpp.model import LlamaModel

PROMPT = "the prompt is hunter2"


class FakeServer:
    """Responds to each connection with one error of HTTP 500."""

    def __init__(self, message: str) -> None:
        error = {"code": 500, "message": message, "type": "server_error"}
        body = json.dumps({"error": error}).encode()
        self._response = b"HTTP/1.1 500 Error\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self._others: list[socket.socket] = []

    def process(self, _: float | None) -> "FakeServer":
        return self

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.sendall(self._response)
        self._others.append(theirs)
        return ours

    def disconnect(self, connection: socket.socket) -> None:
        connection.close()
        self._others.pop().close()


def model_of(message: str) -> LlamaModel:
    server: Any = FakeServer(message)
    return LlamaModel(server)


@pytest.fixture
def client(model: LlamaModel) -> Iterator[Client]:
    connection = BlockingConnection(model._server.process(None), deadline=None)
    yield Client(connection)
    connection.close()


def test_server_error_is_reported(client: Client) -> None:
    """The message of a server error is reported, and the error is not retryable."""
    with pytest.raises(ModelError, match=r"llama\.cpp: File Not Found") as caught:
        run_sync(client.request("/nowhere", {}))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "message",
    [
        "parse error: syntax error while parsing value; last read: 'the prompt is hunter2'",
        "last read: 'prompt is hunt'",
        "last read: 'the\nprompt  is hunter2'",
        "last read: 'Obey'",
    ],
)
def test_server_error_that_quotes_the_request_is_left_out(message: str) -> None:
    """A server error that quotes a prompt, or a part of one, is reported by its type only."""
    with pytest.raises(ModelError) as caught:
        model_of(message).complete(ModelRequest(prompt=PROMPT, system_prompt="Obey"))
    assert str(caught.value) == "llama.cpp: server_error"
    assert caught.value.retryable


@pytest.mark.parametrize("quoted", ["the prompt is hunt", "Obey"])
@pytest.mark.parametrize("role", ["user", "system", "assistant"])
def test_server_error_that_quotes_a_message_is_left_out(role: str, quoted: str) -> None:
    """A server error that quotes a message of the history is reported by its type only."""
    blocks = [{"type": "text", "text": PROMPT}]
    messages = [{"role": role, "content": "Obey"}, {"role": role, "content": blocks}]
    with pytest.raises(ModelError) as caught:
        model_of(f"last read: '{quoted}'").complete(ModelRequest(messages=messages, prompt="x?"))
    assert str(caught.value) == "llama.cpp: server_error"


def test_server_error_is_reported_beside_an_empty_prompt() -> None:
    """An empty prompt is in each message, and does not count as quoted."""
    with pytest.raises(ModelError, match=r"^llama\.cpp: out of memory$"):
        model_of("out of memory").complete(ModelRequest(prompt="", system_prompt="Obey"))


def test_retry_does_not_log_the_prompt(caplog: pytest.LogCaptureFixture) -> None:
    """A node that is retried for a server error logs no prompt."""
    caplog.set_level(logging.INFO)
    workflow = Workflow("w")
    model, retry = model_of(f"last read: '{PROMPT}'"), Retry(attempts=2, backoff=0.001)
    workflow.add_node(LLMNode("n", model, PROMPT, retry=retry))
    with pytest.raises(NodeExecutionError):
        workflow.execute()
    assert "llama.cpp: server_error" in caplog.text
    assert "hunter2" not in caplog.text


def test_response_that_is_not_json_is_not_quoted(client: Client) -> None:
    """A response that is not JSON raises an error that does not quote it."""
    stream = {"prompt": "secret", "n_predict": 1, "stream": True}
    with pytest.raises(ModelError, match=r"llama\.cpp: the response is not JSON$") as caught:
        run_sync(client.request("/completion", stream))
    assert caught.value.__suppress_context__


def test_truncated_stream_raises_model_error(client: Client) -> None:
    """A stream without its last event raises ModelError."""

    async def next_event() -> Any:
        return await anext(client.stream("/tokenize", {"content": "x"}))

    with pytest.raises(ModelError, match="cut off"):
        run_sync(next_event())
