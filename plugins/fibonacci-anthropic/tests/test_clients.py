"""The SDK's clients: made once, shared by threads, one for a loop, new after a fork."""

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

from .conftest import KEY, Ask
from .wire import HANG_UP, SILENCE, Wire, answer, chunk, events, head, start, text

HI = ModelRequest(prompt="Hi")


def test_the_sdk_is_imported_when_it_is_used() -> None:
    """Finding the model and its key costs no second of import; nor does asyncio come with it."""
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


def test_models_share_a_connection(wire: Wire, ask: Ask) -> None:
    """Workflows that ask the same service with the same key use one connection in turn."""
    wire.plays(*[answer("yes")] * 6)
    models = [AnthropicModel(name, api_key=KEY, base_url=wire.url) for name in ("claude-a", "b")]
    for _ in range(3):
        for model in models:
            ask(model, HI)
    assert {asked.connection for asked in wire.asked} == {0}


def test_a_connection_that_is_closed_when_it_is_taken(
    wire: Wire, model: AnthropicModel, ask: Ask
) -> None:
    """A server may end a connection at any moment between two requests: nobody notices."""
    wire.plays(answer("yes"), [HANG_UP], answer("again"))
    assert [ask(model, HI).text for _ in range(2)] == ["yes", "again"]
    assert [asked.connection for asked in wire.asked] == [0, 0, 1]


def test_a_connection_that_is_closed_after_each_answer(
    wire: Wire, model: AnthropicModel, ask: Ask
) -> None:
    """A server that never keeps a connection, and does not say so, is as good as another."""
    wire.plays(*[[*answer("yes"), HANG_UP]] * 20)
    assert [ask(model, HI).text for _ in range(20)] == ["yes"] * 20


def test_another_key_is_another_client(wire: Wire) -> None:
    """What one key may see is not asked with another."""
    wire.plays(answer("yes"), answer("yes"))
    for key in ("key-a", "key-b"):
        AnthropicModel("claude-x", api_key=key, base_url=wire.url).complete(HI)
    sent = [asked.headers["authorization"] for asked in wire.asked]
    assert sent == ["Bearer key-a", "Bearer key-b"]


def test_threads(wire: Wire, model: AnthropicModel) -> None:
    """Eight threads ask at once, the first time too, and one client answers all."""
    wire.plays(*[answer("yes")] * 40)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: model.complete(HI).text, range(40)))
    assert answers == ["yes"] * 40
    assert len({asked.connection for asked in wire.asked}) <= 8


def test_many_tasks(wire: Wire, model: AnthropicModel) -> None:
    """Tasks of one loop that ask at once, the first time too, share one client."""
    wire.plays(*[answer("yes")] * 20)

    async def ask() -> list[Completion]:
        return await asyncio.gather(*[model.acomplete(HI) for _ in range(20)])

    assert [one.text for one in asyncio.run(ask())] == ["yes"] * 20


def test_a_loop_whose_threads_are_busy(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an application does in its loop's threads keeps nobody from asking a host by name."""
    for name in ("no_proxy", "http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "localhost")
    url = wire.url.replace("127.0.0.1", "localhost")
    model = AnthropicModel("claude-x", api_key=KEY, base_url=url)
    wire.plays(answer("yes"))
    is_over = Event()

    async def ask() -> Completion:
        loop = asyncio.get_running_loop()
        busy = [loop.run_in_executor(None, is_over.wait, 60) for _ in range(64)]
        try:
            return await model.acomplete(ModelRequest(prompt="Hi", deadline=monotonic() + 20))
        finally:
            is_over.set()
            await asyncio.gather(*busy)

    assert asyncio.run(ask()).text == "yes"


def test_a_name_that_is_not_looked_up_in_time() -> None:
    """It counts as a connection that took too long."""
    with pytest.raises(ConnectTimeout):
        asyncio.run(ResolvingBackend(None).connect_tcp("localhost", 443, timeout=0))


def test_a_loop_that_is_closed_without_notice(wire: Wire, model: AnthropicModel) -> None:
    """It leaves the next one a client of its own."""
    wire.plays(answer("yes"), answer("again"))
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(model.acomplete(HI)).text == "yes"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it left a connection open
        loop.close()
        assert asyncio.run(model.acomplete(HI)).text == "again"
        gc.collect()


def test_one_loop_after_the_other(wire: Wire, model: AnthropicModel) -> None:
    """Each loop has a client of its own, which ends with it, and without a warning."""
    wire.plays(*[answer("yes")] * 6)

    async def ask() -> None:
        for _ in range(2):
            await model.acomplete(HI)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            asyncio.run(ask())
        gc.collect()
    assert [str(one.message) for one in caught] == []
    assert [asked.connection for asked in wire.asked] == [0, 0, 1, 1, 2, 2]
    assert model._clients._async_clients.pop_all() == []


def test_loops_in_two_threads(wire: Wire, model: AnthropicModel) -> None:
    """Loops that run at the same time do not meet."""
    wire.plays(*[answer("yes")] * 20)

    def ask(_: int) -> list[str]:
        async def several() -> list[str]:
            return [(await model.acomplete(HI)).text for _ in range(5)]

        return asyncio.run(several())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [["yes"] * 5] * 4


def test_it_is_let_go_with_the_last_model(wire: Wire) -> None:
    """Without a user the connections are closed."""
    wire.plays(answer("yes"))
    model = AnthropicModel("claude-x", api_key=KEY, base_url=wire.url)
    model.complete(HI)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del model
        gc.collect()
    assert not caught


def test_a_closed_stream_ends_the_request(wire: Wire, model: AnthropicModel) -> None:
    """Whoever has heard enough hangs up; the pieces come as they are said."""
    wire.plays([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])
    stream = model.stream(HI)
    assert next(stream) == TextDelta("Hel")
    stream.close()
    assert wire.left.wait(60)


def test_a_left_stream_ends_the_request(wire: Wire, model: AnthropicModel) -> None:
    """The same holds in async code, and for a task that is cancelled."""
    wire.plays(*[[head(), *map(chunk, [start(), *text("Hel")]), SILENCE]] * 2)

    async def leave() -> None:
        stream = model.astream(HI)
        assert await anext(stream) == TextDelta("Hel")
        await stream.aclose()
        assert await asyncio.to_thread(wire.left.wait, 60)
        wire.left.clear()
        wire.paused.clear()
        asking = asyncio.create_task(model.acomplete(HI))
        assert await asyncio.to_thread(wire.paused.wait, 60)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asyncio.to_thread(wire.left.wait, 60)

    asyncio.run(leave())


def test_a_kept_exception_keeps_no_generators(wire: Wire, model: AnthropicModel) -> None:
    """The SDK's async generators end with a broken stream, even while its exception is kept."""
    wire.plays([head(), *map(chunk, [start(), *text("Hel")]), SILENCE])

    async def break_off() -> None:
        stream = model.astream(HI)
        assert await anext(stream) == TextDelta("Hel")
        generators = _generators_of_httpx()
        with pytest.raises(ValueError, match="enough") as kept:
            await stream.athrow(ValueError("enough"))
        for _ in range(100):  # the loop ends one after the other
            await asyncio.sleep(0)
        assert generators
        assert [one() for one in generators if one()] == [], kept

    asyncio.run(break_off())


def _generators_of_httpx() -> list[weakref.ref[Any]]:
    gc.collect()
    return [
        weakref.ref(one)
        for one in gc.get_objects()
        if isinstance(one, AsyncGeneratorType) and "httpx2" in one.ag_code.co_filename
    ]


def test_a_stream_that_nobody_reads(wire: Wire, model: AnthropicModel) -> None:
    """Nothing is asked before the first piece is wanted."""
    model.stream(HI).close()
    asyncio.run(model.astream(HI).aclose())
    assert not wire.asked


def test_the_loop_is_free(wire: Wire, model: AnthropicModel) -> None:
    """While an answer comes, other tasks run; it is streamed in sync and async code."""
    parts = [step for one in events("a", "b", "c") for step in (chunk(one), 0.02)]
    wire.plays([head(), *parts, b"0\r\n\r\n"])

    async def count() -> int:
        turns = 0
        asking = asyncio.create_task(model.acomplete(HI))
        while not asking.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert (await asking).text == "abc"
        return turns

    assert asyncio.run(count()) > 5  # and not one


@pytest.mark.bare  # to measure a child takes half a second
def test_a_fork(wire: Wire, model: AnthropicModel) -> None:
    """A child asks over connections of its own, sync and async, and leaves its parent's alone."""
    wire.plays(*[answer("yes")] * 6)
    began = monotonic()
    model.complete(HI)
    with asyncio.Runner() as runner:
        runner.run(model.acomplete(HI))
        in_child(lambda: model.complete(HI).text == "yes")
        in_child(lambda: asyncio.run(model.acomplete(HI)).text == "yes")
        assert model.complete(HI).text == runner.run(model.acomplete(HI)).text == "yes"
    connections = [asked.connection for asked in wire.asked]
    assert connections[:4] == [0, 1, 2, 3]
    # httpx gives up a connection that was idle for 5 s: on a slow machine, before the parent asks.
    assert connections[4:] == [0, 1] or monotonic() - began > 5


def test_a_fork_in_the_middle_of_a_stream(wire: Wire, model: AnthropicModel) -> None:
    """What a child closes, its parent still has."""
    whole = events("one", "two")
    wire.plays(
        [head(), *map(chunk, whole[:3]), 0.5, *map(chunk, whole[3:]), b"0\r\n\r\n"], answer("child")
    )
    stream = model.stream(HI)
    assert next(stream) == TextDelta("one")

    def close_and_ask() -> bool:
        stream.close()
        return model.complete(HI).text == "child"

    in_child(close_and_ask)
    assert [piece.text for piece in stream] == ["two", "onetwo"]


def test_a_fork_before_the_first_prompt(wire: Wire, model: AnthropicModel) -> None:
    """A child may be the first to ask."""
    wire.plays(answer("yes"), answer("yes"))
    in_child(lambda: model.complete(HI).text == "yes")
    assert model.complete(HI).text == "yes"


def test_an_address_that_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a host has another address, one that answers nothing does not take half of the time."""

    async def resolved(*_: object, **__: object) -> list[str]:
        return ["::1", "127.0.0.1"]

    class Inner:
        """The client's own, which waits in vain at the first address."""

        async def connect_tcp(self, host: str, port: int, timeout: float) -> tuple[str, float]:  # noqa: ASYNC109
            if host == "::1":
                assert timeout <= 0.5
                raise TimeoutError
            return host, timeout

    monkeypatch.setattr("fibonacci_anthropic.transport.aresolve_host", resolved)
    host, left = asyncio.run(ResolvingBackend(Inner()).connect_tcp("localhost", 443, timeout=60))
    assert (host, left > 50) == ("127.0.0.1", True)
