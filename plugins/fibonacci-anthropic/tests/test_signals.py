"""An exception of a signal handler during a request is raised unchanged."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import sleep

import pytest
from stepping import interrupt_each_step

from fibonacci.plugin import ModelRequest, TextDelta
from fibonacci_anthropic import AnthropicModel, transport
from fibonacci_anthropic.messages import request_body
from fibonacci_anthropic.transport import Call, in_our_request

from .fake_service import SILENCE, FakeService, chunk, events, head, response, start, text

HI = ModelRequest(prompt="Hi")


class SoftTimeLimitExceeded(Exception):  # noqa: N818 - as Celery calls it
    """An application's own."""


@contextmanager
def interrupted(moment: Event | None, error: Exception) -> Iterator[None]:
    """Have a signal handler raise this once the event is set, or when the signal comes."""

    def handler(number: int, frame: object) -> None:
        raise error

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


@pytest.mark.parametrize("error", [SoftTimeLimitExceeded("soft"), TimeoutError("theirs")])
def test_interrupted_request_is_not_retried(
    service: FakeService, model: AnthropicModel, error: Exception
) -> None:
    """An exception of a signal handler is raised unchanged, and the request is not resent."""
    service.add_replies(response("warm"), [SILENCE], response("again"))
    model.complete(HI)
    service.paused.clear()
    with interrupted(service.paused, error), pytest.raises(type(error)) as caught:
        model.complete(HI)
    assert caught.value is error
    assert len(service.requests) == 2
    assert model.complete(HI).text == "again"


def test_interrupted_stream_raises_the_handlers_exception(
    service: FakeService, model: AnthropicModel
) -> None:
    """A stream interrupted after a delta raises the signal handler's exception."""
    service.add_replies([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    error, stream = SoftTimeLimitExceeded("soft"), model.stream(HI)
    assert next(stream) == TextDelta("Hel")
    with interrupted(service.paused, error), pytest.raises(SoftTimeLimitExceeded) as caught:
        next(stream)
    assert caught.value is error


def test_interrupted_drain_raises_the_handlers_exception(
    service: FakeService, model: AnthropicModel
) -> None:
    """Interrupted while it drains a stream, a request raises the handler's exception."""
    service.add_replies([head(), *map(chunk, events("all")), SILENCE])
    error = SoftTimeLimitExceeded("soft")
    with interrupted(service.paused, error), pytest.raises(SoftTimeLimitExceeded) as caught:
        model.complete(HI)
    assert caught.value is error


def test_interrupted_event_loop_raises_the_handlers_exception(
    service: FakeService, model: AnthropicModel
) -> None:
    """A signal handler that raises in the event loop's thread ends the loop."""
    service.add_replies([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    error = SoftTimeLimitExceeded("soft")
    # Not uvloop, which drops exceptions of signal handlers.
    with (
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
        interrupted(service.paused, error),
        pytest.raises(SoftTimeLimitExceeded) as caught,
    ):
        runner.run(model.acomplete(HI))
    assert caught.value is error


def test_interrupted_schema_raises_the_handlers_exception() -> None:
    """A signal handler's exception during schema translation is raised unchanged."""
    error = SoftTimeLimitExceeded("soft")

    class Interrupting(dict[str, object]):
        def get(self, *_: object) -> object:
            os.kill(os.getpid(), signal.SIGUSR1)

    request = ModelRequest(prompt="Hi", output_format="json", output_schema=Interrupting())
    with interrupted(None, error), pytest.raises(SoftTimeLimitExceeded) as caught:
        request_body("claude-x", request)
    assert caught.value is error


@pytest.mark.bare  # a trace function of its own takes the place of coverage's
def test_interrupted_call_is_not_the_current_one_afterwards() -> None:
    """After a call that is interrupted at any step, log records are not taken for ours."""
    step = 0
    for step in interrupt_each_step(lambda: Call(None).run(str), files={transport.__file__}):
        assert not in_our_request(), step
    assert step > 10
