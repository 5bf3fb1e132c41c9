"""The example's app, streaming: the order of events, and what a disconnected client leaves."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from services.proxy import Proxy

from fibonacci.testing.network import faults

Event = tuple[str, Any]


def read_events(reply: httpx.Response) -> Iterator[Event]:
    """Yield the events of a response as they arrive: name and data."""
    kind = "message"
    for line in reply.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)
            kind = "message"


LONG = "w " * 2_000
"""A message whose answer takes twenty seconds or more."""


def ask(user: httpx.Client, message: str, events: int) -> list[Event]:
    """Send a message, read so many events, disconnect, and wait until no model streams."""
    begun, _ = user.get("/streams").json()
    with user.stream("POST", "/chat/stream", json={"message": message}) as reply:
        reply.raise_for_status()
        arriving = read_events(reply)
        read = [next(arriving) for _ in range(events)]
    until_ended(user, begun + 1)
    return read


def until_ended(user: httpx.Client, streams: int) -> None:
    """Wait until so many streams of the model have started and ended."""
    deadline = time.monotonic() + 60
    while user.get("/streams").json() != [streams, streams]:
        assert time.monotonic() < deadline, "the model streams on"
        time.sleep(0.01)


async def leave_at_once(url: str, headers: httpx.Headers, begun: int) -> None:
    """Send a message, and disconnect before the model's first word."""
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
        body = {"message": f"Think {LONG[10:]}"}
        asking = asyncio.create_task(client.post("/chat/stream", json=body))
        while (await client.get("/streams")).json()[0] == begun:  # noqa: ASYNC110 - over there
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])


def test_answer_is_streamed_word_by_word(ada: httpx.Client) -> None:
    """Each word is an event; `done` is sent once the turn is remembered."""
    with ada.stream("POST", "/chat/stream", json={"message": "My name is Ada"}) as reply:
        assert reply.headers["Content-Type"].startswith("text/event-stream")
        *words, end = read_events(reply)
    assert words == [("message", {"text": word}) for word in ("My", " name", " is", " Ada")]
    assert end == ("done", {})
    assert ada.get("/history").json() == [{"user": "My name is Ada", "assistant": "My name is Ada"}]


@pytest.mark.parametrize("events", [0, 1, 3])
def test_disconnected_client_leaves_nothing(ada: httpx.Client, events: int) -> None:
    """A disconnect stops the model, and no partial turn is remembered, then or later."""
    assert len(ask(ada, LONG, events)) == events
    assert ada.get("/history").json() == []
    ada.post("/chat", json={"message": "Hello"}).raise_for_status()
    assert ada.get("/history").json() == [{"user": "Hello", "assistant": "Hello"}]


def test_disconnect_before_the_first_word_leaves_nothing(ada: httpx.Client) -> None:
    """A disconnect before the response has started stops the model, and nothing is remembered."""
    begun, _ = ada.get("/streams").json()
    asyncio.run(leave_at_once(str(ada.base_url), ada.headers, begun))
    until_ended(ada, begun + 1)
    assert ada.get("/history").json() == []


@pytest.mark.parametrize("events", range(6))
def test_disconnect_stores_a_whole_turn_or_none(ada: httpx.Client, events: int) -> None:
    """A disconnect after any event leaves a whole turn or none; after the end, a whole one."""
    read = ask(ada, "One two three four five", events)
    whole = {"user": "One two three four five", "assistant": "One two three four five"}
    history = ada.get("/history").json()
    assert history in ([], [whole])
    assert history or ("done", {}) not in read


def test_error_after_the_first_word_is_an_event(ada: httpx.Client, proxy: Proxy) -> None:
    """An error after the status was sent ends the stream with an event; nothing is remembered."""
    with ada.stream("POST", "/chat/stream", json={"message": "One two three"}) as reply:
        events = read_events(reply)
        first = next(events)
        with proxy.fault(faults.Refuse()):
            rest = list(events)
    assert [first, *rest] == [
        *(("message", {"text": word}) for word in ("One", " two", " three")),
        ("error", {"detail": "try again soon"}),
    ]
    assert ada.get("/history").json() == []
