"""Answers piece by piece, and answers that nobody waits for any more."""

from time import monotonic

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, Model, ModelRequest, TextDelta
from fibonacci_llamacpp.worker import SLOTS

from .questions import ENDLESS, SAID


def test_the_pieces_are_the_whole(model: Model) -> None:
    """A stream brings many pieces, and then what `complete` brings."""
    *pieces, whole = model.stream(SAID)
    assert len(pieces) > 3
    assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces) == whole.text
    assert whole == model.complete(SAID)


@pytest.mark.usefixtures("idle")
def test_a_closed_stream_ends_the_generation(model: Model) -> None:
    """Whoever has heard enough frees the model for others."""
    streams = [model.stream(ENDLESS) for _ in range(SLOTS)]
    for stream in streams:
        assert isinstance(next(stream), TextDelta)
    for stream in streams:
        stream.close()


def test_nothing_happens_before_the_first_piece(model: Model) -> None:
    """A stream that nobody reads asks the model nothing."""
    model.stream(ENDLESS).close()


@pytest.mark.usefixtures("idle")
def test_the_deadline_ends_the_generation(model: Model) -> None:
    """At the deadline there is an error that says so, and the model is free again."""
    for _ in range(SLOTS):
        with pytest.raises(ModelError, match="deadline") as caught:
            model.complete(attrs.evolve(ENDLESS, deadline=monotonic() + 0.2))
        assert caught.value.retryable


def test_the_deadline_holds_while_a_prompt_is_read(wise: Model) -> None:
    """A long prompt does not keep the model busy after the deadline.

    All slots are given one that takes twenty seconds to read; the next question is answered soon.
    """
    for _ in range(SLOTS):
        prompt = "All work and no play. " * 500
        with pytest.raises(ModelError, match="deadline"):
            wise.complete(ModelRequest(prompt=prompt, deadline=monotonic() + 0.2))
    wise.complete(ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 20))


def test_the_deadline_holds_in_line(model: Model) -> None:
    """A request that waits for a slot ends at its deadline."""
    streams = [model.stream(ENDLESS) for _ in range(SLOTS)]
    for stream in streams:
        next(stream)
    with pytest.raises(ModelError, match="deadline"):
        model.complete(ModelRequest(prompt="Hi", deadline=monotonic() + 0.2))
    for stream in streams:
        stream.close()


def test_a_deadline_that_has_passed(model: Model) -> None:
    """Nothing is asked after the deadline."""
    with pytest.raises(ModelError, match="deadline"):
        model.complete(ModelRequest(prompt="Hi", deadline=monotonic() - 1))


def test_a_deadline_that_is_kept(model: Model) -> None:
    """In time, the deadline changes nothing."""
    request = ModelRequest(prompt="Hi", max_tokens=1, deadline=monotonic() + 60)
    assert isinstance(model.complete(request), Completion)
