"""The async mode: native, no thread, and the event loop stays free."""

import asyncio
import threading
from contextlib import aclosing, suppress
from pathlib import Path
from time import monotonic

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Model, ModelRequest, TextDelta
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import ModelServer
from fibonacci_llamacpp.worker import SLOTS

from .questions import ENDLESS, SHORT, TOKENS


def test_sync_and_async_say_the_same(model: Model) -> None:
    """What `acomplete` and `astream` bring is what `complete` and `stream` bring."""

    async def ask() -> None:
        assert await model.acomplete(SHORT) == model.complete(SHORT)
        assert [piece async for piece in model.astream(SHORT)] == list(model.stream(SHORT))

    asyncio.run(ask())


def test_the_event_loop_is_free(model: Model) -> None:
    """While an answer comes, other tasks run, and no thread was started for it."""

    async def work_beside() -> None:
        threads = threading.active_count()
        asking = asyncio.create_task(model.acomplete(ENDLESS))
        for _ in range(50):
            await asyncio.sleep(0.001)
            assert not asking.done()
            assert threading.active_count() == threads
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking

    model.complete(ModelRequest(prompt="Hi", max_tokens=1))
    asyncio.run(work_beside())


def test_many_at_once(model: Model) -> None:
    """More tasks than slots all get their answers."""

    async def ask() -> list[int]:
        answers = await asyncio.gather(*[model.acomplete(SHORT) for _ in range(SLOTS + 3)])
        return [answer.usage.output_tokens for answer in answers]

    assert asyncio.run(ask()) == [TOKENS] * (SLOTS + 3)


def test_a_loop_whose_threads_are_busy(weights: Path) -> None:
    """What an application does in its loop's threads keeps nobody from loading a model, once."""
    model, is_over = LlamaModel(ModelServer(weights)), threading.Event()
    request = attrs.evolve(SHORT, max_tokens=1, deadline=monotonic() + 20)

    async def ask() -> int:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, is_over.wait, 60) for _ in range(64)]
        before = threading.active_count()
        asking = [asyncio.create_task(model.acomplete(request)) for _ in range(SLOTS)]
        await asyncio.sleep(0.01)
        started = threading.active_count() - before
        try:
            await asyncio.gather(*asking)
        finally:
            is_over.set()
            await asyncio.gather(*busy)
        return started

    assert asyncio.run(ask()) <= 1


@pytest.mark.usefixtures("idle")
def test_a_cancelled_task_ends_the_generation(model: Model) -> None:
    """A task that is cancelled in the middle of an answer frees the model."""

    async def ask() -> None:
        tasks = [asyncio.create_task(model.acomplete(ENDLESS)) for _ in range(SLOTS - 1)]
        async with aclosing(model.astream(ENDLESS)) as beside:  # tells that they are answered
            for _ in range(3):
                await anext(beside)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    asyncio.run(ask())


@pytest.mark.usefixtures("idle")
def test_a_stream_that_is_left_ends_the_generation(model: Model) -> None:
    """Leaving the loop over a stream frees the model."""

    async def ask() -> None:
        for _ in range(SLOTS):
            async for piece in model.astream(ENDLESS):
                assert isinstance(piece, TextDelta)
                break

    asyncio.run(ask())


@pytest.mark.usefixtures("idle")
def test_the_deadline(model: Model) -> None:
    """At the deadline there is an error that says so; a passed one asks nothing."""

    async def ask(seconds: float) -> None:
        request = attrs.evolve(ENDLESS, deadline=monotonic() + seconds)
        with pytest.raises(ModelError, match="deadline"):
            await model.acomplete(request)

    asyncio.run(ask(0.2))
    asyncio.run(ask(-1))
