"""What a signal's handler raises in the midst of a request comes out as itself."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import sleep

import pytest

from fibonacci.plugin import ModelRequest, TextDelta
from fibonacci_anthropic import AnthropicModel
from fibonacci_anthropic.messages import request_body

from .wire import SILENCE, Wire, answer, chunk, events, head, start, text

HI = ModelRequest(prompt="Hi")


class SoftTimeLimitExceeded(Exception):  # noqa: N818 - as Celery calls it
    """An application's own."""


@contextmanager
def interrupted(moment: Event | None, fault: Exception) -> Iterator[None]:
    """Have a handler raise this as soon as the moment has come, or when the signal does."""

    def handler(number: int, frame: object) -> None:
        raise fault

    def send() -> None:
        if moment is not None and moment.wait(60):
            sleep(0.2)  # the moment may have been before this thread began
            os.kill(os.getpid(), signal.SIGUSR1)

    before, thread = signal.signal(signal.SIGUSR1, handler), Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("fault", [SoftTimeLimitExceeded("soft"), TimeoutError("theirs")])
def test_a_request_that_is_interrupted(wire: Wire, model: AnthropicModel, fault: Exception) -> None:
    """It is not taken for a connection that broke while it rested, and not sent again."""
    wire.plays(answer("warm"), [SILENCE], answer("again"))
    model.complete(HI)
    wire.paused.clear()
    with interrupted(wire.paused, fault), pytest.raises(type(fault)) as caught:
        model.complete(HI)
    assert caught.value is fault
    assert len(wire.asked) == 2
    assert model.complete(HI).text == "again"


def test_a_stream_that_is_interrupted(wire: Wire, model: AnthropicModel) -> None:
    """So is one whose first words are there."""
    wire.plays([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    fault, stream = SoftTimeLimitExceeded("soft"), model.stream(HI)
    assert next(stream) == TextDelta("Hel")
    with interrupted(wire.paused, fault), pytest.raises(SoftTimeLimitExceeded) as caught:
        next(stream)
    assert caught.value is fault


def test_the_end_of_an_answer_that_is_interrupted(wire: Wire, model: AnthropicModel) -> None:
    """Even where nothing but the end of the stream is waited for."""
    wire.plays([head(), *map(chunk, events("all")), SILENCE])
    fault = SoftTimeLimitExceeded("soft")
    with interrupted(wire.paused, fault), pytest.raises(SoftTimeLimitExceeded) as caught:
        model.complete(HI)
    assert caught.value is fault


def test_a_loop_that_is_interrupted(wire: Wire, model: AnthropicModel) -> None:
    """A handler of the event loop's own thread ends the loop, as it would without us."""
    wire.plays([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    fault = SoftTimeLimitExceeded("soft")
    # Not uvloop, which hands what a handler raises to nobody.
    with (
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
        interrupted(wire.paused, fault),
        pytest.raises(SoftTimeLimitExceeded) as caught,
    ):
        runner.run(model.acomplete(HI))
    assert caught.value is fault


def test_a_schema_that_is_interrupted() -> None:
    """What a handler raises while a schema is translated is no fault of the schema."""
    fault = SoftTimeLimitExceeded("soft")

    class Interrupting(dict[str, object]):
        def get(self, *_: object) -> object:
            os.kill(os.getpid(), signal.SIGUSR1)

    request = ModelRequest(prompt="Hi", output_format="json", output_schema=Interrupting())
    with interrupted(None, fault), pytest.raises(SoftTimeLimitExceeded) as caught:
        request_body("claude-x", request)
    assert caught.value is fault
