"""Streams, deadlines, and abandoned completions."""

from time import monotonic

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci_llamacpp.worker import SLOTS

from .model_requests import ENDLESS, SENTENCE


def test_stream_ends_with_the_completion(model: Model) -> None:
    """A stream yields deltas, then what complete() returns."""
    *pieces, whole = model.stream(SENTENCE)
    assert len(pieces) > 3
    assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert whole == model.complete(SENTENCE)


@pytest.mark.usefixtures("idle")
def test_closing_a_stream_ends_the_generation(model: Model) -> None:
    """Closing a stream frees its slot."""
    streams = [model.stream(ENDLESS) for _ in range(SLOTS)]
    for stream in streams:
        assert isinstance(next(stream), TextDelta)
    for stream in streams:
        stream.close()


def test_unread_stream_sends_nothing(model: Model) -> None:
    """A stream sends its request at the first read."""
    model.stream(ENDLESS).close()


@pytest.mark.usefixtures("idle")
def test_deadline_ends_the_generation(model: Model) -> None:
    """At the deadline a request raises ModelError, and its slot is free."""
    for _ in range(SLOTS):
        with pytest.raises(ModelError, match="deadline") as caught:
            model.complete(attrs.evolve(ENDLESS, deadline=monotonic() + 0.2))
        assert caught.value.retryable


def test_deadline_holds_while_a_prompt_is_processed(full_model: Model) -> None:
    """A long prompt does not keep the model busy after the deadline.

    All slots get a prompt that takes twenty seconds to process; the next request completes sooner.
    """
    for _ in range(SLOTS):
        prompt = "All work and no play. " * 500
        with pytest.raises(ModelError, match="deadline"):
            full_model.complete(ModelRequest(prompt=prompt, deadline=monotonic() + 0.2))
    full_model.complete(ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 20))


def test_deadline_holds_in_the_queue(model: Model) -> None:
    """A request that waits for a slot times out at its deadline."""
    streams = [model.stream(ENDLESS) for _ in range(SLOTS)]
    for stream in streams:
        next(stream)
    with pytest.raises(ModelError, match="deadline"):
        model.complete(ModelRequest(prompt="Hi", deadline=monotonic() + 0.2))
    for stream in streams:
        stream.close()


def test_expired_deadline_sends_nothing(model: Model) -> None:
    """After its deadline no request is sent."""
    with pytest.raises(ModelError, match="deadline"):
        model.complete(ModelRequest(prompt="Hi", deadline=monotonic() - 1))


def test_request_within_the_deadline_succeeds(model: Model) -> None:
    """A deadline that is not reached changes nothing."""
    request = ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 60)
    assert isinstance(model.complete(request), Completion)
