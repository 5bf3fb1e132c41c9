"""What goes wrong between here and llama.cpp's server: a real one."""

from collections.abc import Iterator

import pytest
from fibonacci_llamacpp.link import Link
from fibonacci_llamacpp.model import LlamaModel, _run
from fibonacci_llamacpp.wire import Wire

from fibonacci.errors import ModelError


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


def test_a_refusal_without_words(wire: Wire) -> None:
    """Where the HTTP layer refuses, there is no explanation, and still our error."""
    with pytest.raises(ModelError, match="malformed or too large"):
        _run(wire.call("/tokenize", {"content": "x" * 110_000_000}))


def test_a_stream_without_an_end(wire: Wire) -> None:
    """A stream that ends too early is an error, not a short answer."""
    with pytest.raises(ModelError, match="broke off"):
        _run(anext(wire.events("/tokenize", {"content": "x"})))
