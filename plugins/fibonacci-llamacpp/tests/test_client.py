"""Errors of requests to a real llama.cpp server."""

from collections.abc import Iterator
from typing import Any

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import run_sync
from fibonacci_llamacpp.client import BlockingConnection, Client
from fibonacci_llamacpp.model import LlamaModel


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
