"""What goes wrong between here and llama.cpp's server: a real one."""

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


def test_a_refusal_brings_the_servers_words(client: Client) -> None:
    """What llama.cpp refuses, it explains; another try would not help."""
    with pytest.raises(ModelError, match=r"llama\.cpp: File Not Found") as caught:
        run_sync(client.request("/nowhere", {}))
    assert not caught.value.retryable


def test_an_answer_that_is_no_json(client: Client) -> None:
    """What can't be read is our error, and is not quoted."""
    stream = {"prompt": "secret", "n_predict": 1, "stream": True}
    with pytest.raises(ModelError, match=r"llama\.cpp: the response is not JSON$") as caught:
        run_sync(client.request("/completion", stream))
    assert caught.value.__suppress_context__


def test_a_stream_without_an_end(client: Client) -> None:
    """A stream that ends too early is an error, not a short answer."""

    async def next_event() -> Any:
        return await anext(client.stream("/tokenize", {"content": "x"}))

    with pytest.raises(ModelError, match="cut off"):
        run_sync(next_event())
