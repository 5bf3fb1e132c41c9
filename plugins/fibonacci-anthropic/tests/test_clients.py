"""The SDK's clients: one for all threads, one per event loop, new ones after a fork."""

import asyncio
import gc
import subprocess
import sys
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic
from types import AsyncGeneratorType
from typing import Any

import pytest
from forks import in_child
from httpx2 import ConnectTimeout

from fibonacci.plugin import Completion, ModelRequest, TextDelta
from fibonacci_anthropic import AnthropicModel
from fibonacci_anthropic.transport import ResolvingBackend

from .conftest import KEY, Complete
from .fake_service import (
    DISCONNECT,
    SILENCE,
    FakeService,
    chunk,
    events,
    head,
    response,
    start,
    text,
)

HI = ModelRequest(prompt="Hi")


def test_sdk_is_imported_lazily() -> None:
    """Validating a workflow imports neither the SDK nor asyncio."""
    program = """
import sys
from fibonacci import LLMNode, Workflow
workflow = Workflow("w")
workflow.add_node(LLMNode("n", "claude-x", "Hi"))
workflow.validate()
assert "fibonacci_anthropic" in sys.modules
assert not {"anthropic", "httpx2", "pydantic", "asyncio"} & set(sys.modules)
"""
    environment = {"ANTHROPIC_API_KEY": KEY}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=60)


def test_models_share_a_connection(service: FakeService, complete: Complete) -> None:
    """Models with the same key and URL use one connection in turn."""
    service.add_replies(*[response("yes")] * 6)
    models = [AnthropicModel(name, api_key=KEY, base_url=service.url) for name in ("claude-a", "b")]
    for _ in range(3):
        for model in models:
            complete(model, HI)
    assert {received.connection for received in service.requests} == {0}


def test_stale_connection_is_replaced(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A request on a connection that the server has just closed is sent over a new one."""
    service.add_replies(response("yes"), [DISCONNECT], response("again"))
    assert [complete(model, HI).text for _ in range(2)] == ["yes", "again"]
    assert [received.connection for received in service.requests] == [0, 0, 1]


def test_connections_closed_after_each_response(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A server that closes each connection without notice serves all requests."""
    service.add_replies(*[[*response("yes"), DISCONNECT]] * 20)
    assert [complete(model, HI).text for _ in range(20)] == ["yes"] * 20


def test_clients_are_not_shared_across_keys(service: FakeService) -> None:
    """Models with different keys send their own key."""
    service.add_replies(response("yes"), response("yes"))
    for key in ("key-a", "key-b"):
        AnthropicModel("claude-x", api_key=key, base_url=service.url).complete(HI)
    sent = [received.headers["authorization"] for received in service.requests]
    assert sent == ["Bearer key-a", "Bearer key-b"]


def test_threads_share_a_client(service: FakeService, model: AnthropicModel) -> None:
    """Eight threads that send their first requests at once share one client."""
    service.add_replies(*[response("yes")] * 40)
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: model.complete(HI).text, range(40)))
    assert texts == ["yes"] * 40
    assert len({received.connection for received in service.requests}) <= 8


def test_tasks_share_a_client(service: FakeService, model: AnthropicModel) -> None:
    """Tasks of one loop that send their first requests at once share one client."""
    service.add_replies(*[response("yes")] * 20)

    async def complete() -> list[Completion]:
        return await asyncio.gather(*[model.acomplete(HI) for _ in range(20)])

    assert [completion.text for completion in asyncio.run(complete())] == ["yes"] * 20


def test_busy_executor_does_not_block_resolution(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host name is resolved even if all threads of the loop's executor are busy."""
    for name in ("no_proxy", "http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "localhost")
    url = service.url.replace("127.0.0.1", "localhost")
    model = AnthropicModel("claude-x", api_key=KEY, base_url=url)
    service.add_replies(response("yes"))
    is_over = Event()

    async def complete() -> Completion:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, is_over.wait, 60) for _ in range(64)]
        try:
            return await model.acomplete(ModelRequest(prompt="Hi", deadline=monotonic() + 20))
        finally:
            is_over.set()
            await asyncio.gather(*busy)

    assert asyncio.run(complete()).text == "yes"


def test_slow_resolution_is_a_connect_timeout() -> None:
    """A host name that is not resolved in time raises ConnectTimeout."""
    with pytest.raises(ConnectTimeout):
        asyncio.run(ResolvingBackend(None).connect_tcp("localhost", 443, timeout=0))


def test_loop_closed_without_cleanup(service: FakeService, model: AnthropicModel) -> None:
    """After a loop was closed without cleanup, the next loop gets a new client."""
    service.add_replies(response("yes"), response("again"))
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(model.acomplete(HI)).text == "yes"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it left a connection open
        loop.close()
        assert asyncio.run(model.acomplete(HI)).text == "again"
        gc.collect()


def test_each_loop_has_its_own_client(service: FakeService, model: AnthropicModel) -> None:
    """Each event loop has its own client, which is closed with the loop without a warning."""
    service.add_replies(*[response("yes")] * 6)

    async def complete() -> None:
        for _ in range(2):
            await model.acomplete(HI)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            asyncio.run(complete())
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert [received.connection for received in service.requests] == [0, 0, 1, 1, 2, 2]
    assert model._clients._async_clients.pop_all() == []


def test_concurrent_loops_are_independent(service: FakeService, model: AnthropicModel) -> None:
    """Event loops that run in several threads at once do not share a client."""
    service.add_replies(*[response("yes")] * 20)

    def complete(_: int) -> list[str]:
        async def complete_five() -> list[str]:
            return [(await model.acomplete(HI)).text for _ in range(5)]

        return asyncio.run(complete_five())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(complete, range(4))) == [["yes"] * 5] * 4


def test_last_model_closes_the_connections(service: FakeService) -> None:
    """The connections are closed when the last model is collected."""
    service.add_replies(response("yes"))
    model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
    model.complete(HI)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del model
        gc.collect()
    assert not caught


def test_closing_a_stream_ends_the_request(service: FakeService, model: AnthropicModel) -> None:
    """Closing a stream after a delta closes its connection."""
    service.add_replies([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    stream = model.stream(HI)
    assert next(stream) == TextDelta("Hel")
    stream.close()
    assert service.disconnected.wait(60)


def test_closing_or_cancelling_in_a_loop_ends_the_request(
    service: FakeService, model: AnthropicModel
) -> None:
    """Closing an async stream, or cancelling a task, closes its connection."""
    service.add_replies(*[[head(), *map(chunk, [start(), *text("Hel")]), SILENCE]] * 2)

    async def leave() -> None:
        stream = model.astream(HI)
        assert await anext(stream) == TextDelta("Hel")
        await stream.aclose()
        assert await asyncio.to_thread(service.disconnected.wait, 60)
        service.disconnected.clear()
        service.paused.clear()
        task = asyncio.create_task(model.acomplete(HI))
        assert await asyncio.to_thread(service.paused.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(service.disconnected.wait, 60)

    asyncio.run(leave())


def test_stored_exception_keeps_no_generators_alive(
    service: FakeService, model: AnthropicModel
) -> None:
    """The SDK's async generators end with a broken stream, even if its exception is stored."""
    service.add_replies([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])

    async def break_off() -> None:
        stream = model.astream(HI)
        assert await anext(stream) == TextDelta("Hel")
        generators = _generators_of_httpx()
        with pytest.raises(ValueError, match="enough") as caught:
            await stream.athrow(ValueError("enough"))
        for _ in range(100):  # the loop ends them one by one
            await asyncio.sleep(0)
        assert generators
        assert [generator() for generator in generators if generator()] == [], caught

    asyncio.run(break_off())


def _generators_of_httpx() -> list[weakref.ref[Any]]:
    gc.collect()
    return [
        weakref.ref(item)
        for item in gc.get_objects()
        if isinstance(item, AsyncGeneratorType) and "httpx2" in item.ag_code.co_filename
    ]


def test_unread_stream_sends_nothing(service: FakeService, model: AnthropicModel) -> None:
    """A stream sends its request at the first read."""
    model.stream(HI).close()
    asyncio.run(model.astream(HI).aclose())
    assert not service.requests


def test_event_loop_is_not_blocked(service: FakeService, model: AnthropicModel) -> None:
    """Other tasks run while a response is streamed."""
    parts = [step for event in events("a", "b", "c") for step in (chunk(event), 0.02)]
    service.add_replies([head(), *parts, b"0\r\n\r\n"])

    async def count() -> int:
        iterations = 0
        task = asyncio.create_task(model.acomplete(HI))
        while not task.done():
            iterations += 1
            await asyncio.sleep(0.001)
        assert (await task).text == "abc"
        return iterations

    assert asyncio.run(count()) > 5  # instead of one


@pytest.mark.bare  # to measure a child takes half a second
def test_forked_child_opens_its_own_connections(
    service: FakeService, model: AnthropicModel
) -> None:
    """A child opens its own connections, sync and async, and its parent keeps its own."""
    service.add_replies(*[response("yes")] * 6)
    began = monotonic()
    model.complete(HI)
    with asyncio.Runner() as runner:
        runner.run(model.acomplete(HI))
        in_child(lambda: model.complete(HI).text == "yes")
        in_child(lambda: asyncio.run(model.acomplete(HI)).text == "yes")
        assert model.complete(HI).text == runner.run(model.acomplete(HI)).text == "yes"
    connections = [received.connection for received in service.requests]
    assert connections[:4] == [0, 1, 2, 3]
    # httpx gives up a connection that was idle for 5 s: on a slow machine, before the parent sends.
    assert connections[4:] == [0, 1] or monotonic() - began > 5


def test_fork_during_a_stream(service: FakeService, model: AnthropicModel) -> None:
    """A stream closed in a forked child continues in the parent."""
    whole = events("one", "two")
    service.add_replies(
        [head(), *map(chunk, whole[:3]), 0.5, *map(chunk, whole[3:]), b"0\r\n\r\n"],
        response("child"),
    )
    stream = model.stream(HI)
    assert next(stream) == TextDelta("one")

    def close_and_ask() -> bool:
        stream.close()
        return model.complete(HI).text == "child"

    in_child(close_and_ask)
    assert [piece.text for piece in stream] == ["two", "onetwo"]


def test_fork_before_the_first_request(service: FakeService, model: AnthropicModel) -> None:
    """A forked child may send the first request."""
    service.add_replies(response("yes"), response("yes"))
    in_child(lambda: model.complete(HI).text == "yes")
    assert model.complete(HI).text == "yes"


def test_silent_address_does_not_use_up_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that does not respond leaves most of the time to the next one."""

    async def resolved(*_: object, **__: object) -> list[str]:
        return ["::1", "127.0.0.1"]

    class Inner:
        """A network backend whose first address does not respond."""

        async def connect_tcp(self, host: str, port: int, timeout: float) -> tuple[str, float]:  # noqa: ASYNC109
            if host == "::1":
                assert timeout <= 0.5
                raise TimeoutError
            return host, timeout

    monkeypatch.setattr("fibonacci_anthropic.transport.aresolve_host", resolved)
    host, left = asyncio.run(ResolvingBackend(Inner()).connect_tcp("localhost", 443, timeout=60))
    assert (host, left > 50) == ("127.0.0.1", True)
