"""Async code: a generation uses no thread, and the event loop is not blocked."""

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

from .model_requests import ENDLESS, SHORT, TOKENS


def test_sync_and_async_return_the_same(model: Model) -> None:
    """acomplete and astream return what complete and stream return."""

    async def run() -> None:
        assert await model.acomplete(SHORT) == model.complete(SHORT)
        assert [piece async for piece in model.astream(SHORT)] == list(model.stream(SHORT))

    asyncio.run(run())


def test_event_loop_is_not_blocked(model: Model) -> None:
    """Other tasks run during a generation, and no thread is started for it."""

    async def work_beside() -> None:
        threads = set(threading.enumerate())  # idle ones may end meanwhile
        task = asyncio.create_task(model.acomplete(ENDLESS))
        for _ in range(50):
            await asyncio.sleep(0.001)
            assert not task.done()
            assert set(threading.enumerate()) <= threads
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    model.complete(ModelRequest(prompt="Hi", max_tokens=1))
    asyncio.run(work_beside())


def test_more_tasks_than_slots(model: Model) -> None:
    """More tasks than slots all complete."""

    async def run() -> list[int]:
        completions = await asyncio.gather(*[model.acomplete(SHORT) for _ in range(SLOTS + 3)])
        return [completion.usage.output_tokens for completion in completions]

    assert asyncio.run(run()) == [TOKENS] * (SLOTS + 3)


def test_busy_executor_does_not_block_loading(weights: Path) -> None:
    """A model is loaded, once, even if all threads of the loop's executor are busy."""
    model, is_over = LlamaModel(ModelServer(weights)), threading.Event()
    request = attrs.evolve(SHORT, max_tokens=1, deadline=monotonic() + 20)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, is_over.wait, 60) for _ in range(64)]
        before = threading.active_count()
        tasks = [asyncio.create_task(model.acomplete(request)) for _ in range(SLOTS)]
        await asyncio.sleep(0.01)
        started = threading.active_count() - before
        try:
            await asyncio.gather(*tasks)
        finally:
            is_over.set()
            await asyncio.gather(*busy)
        return started

    assert asyncio.run(run()) <= 1


@pytest.mark.usefixtures("idle")
def test_cancelled_task_ends_the_generation(model: Model) -> None:
    """Cancelling a task during a generation frees its slot."""

    async def run() -> None:
        tasks = [asyncio.create_task(model.acomplete(ENDLESS)) for _ in range(SLOTS - 1)]
        async with aclosing(model.astream(ENDLESS)) as beside:
            # Its tokens show that the tasks' requests are processed, too.
            for _ in range(3):
                await anext(beside)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    asyncio.run(run())


@pytest.mark.usefixtures("idle")
def test_leaving_a_stream_ends_the_generation(model: Model) -> None:
    """Leaving the loop over a stream frees its slot."""

    async def run() -> None:
        for _ in range(SLOTS):
            async for piece in model.astream(ENDLESS):
                assert isinstance(piece, TextDelta)
                break

    asyncio.run(run())


@pytest.mark.usefixtures("idle")
def test_deadline(model: Model) -> None:
    """At the deadline a request raises ModelError; after it nothing is sent."""

    async def run(seconds: float) -> None:
        request = attrs.evolve(ENDLESS, deadline=monotonic() + seconds)
        with pytest.raises(ModelError, match="deadline"):
            await model.acomplete(request)

    asyncio.run(run(0.2))
    asyncio.run(run(-1))
