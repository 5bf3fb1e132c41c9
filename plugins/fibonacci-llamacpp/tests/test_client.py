"""What goes wrong between here and llama.cpp's server: a real one."""

from collections.abc import Iterator

import pytest

from fibonacci.errors import ModelError
from fibonacci_llamacpp.link import Link
from fibonacci_llamacpp.model import LlamaModel, _run
from fibonacci_llamacpp.wire import Wire


@pytest.fixture
def wire(model: LlamaModel) -> Iterator[Wire]:
    link = Link(model._engine.server(None), deadline=None)
    yield Wire(link)
    link.close()


def test_a_refusal_brings_the_servers_words(wire: Wire) -> None:
    """What llama.cpp refuses, it explains; another try would not help."""
    with pytest.raises(ModelError, match=r"llama\.cpp: File Not Found") as caught:
        _run(wire.call("/nowhere", {}))
    assert not caught.value.retryable


def test_an_answer_that_is_no_json(wire: Wire) -> None:
    """What can't be read is our error, and is not quoted."""
    stream = {"prompt": "secret", "n_predict": 1, "stream": True}
    with pytest.raises(ModelError, match=r"llama\.cpp: the answer is not JSON$") as caught:
        _run(wire.call("/completion", stream))
    assert caught.value.__suppress_context__


def test_a_stream_without_an_end(wire: Wire) -> None:
    """A stream that ends too early is an error, not a short answer."""
    with pytest.raises(ModelError, match="broke off"):
        _run(anext(wire.events("/tokenize", {"content": "x"})))
