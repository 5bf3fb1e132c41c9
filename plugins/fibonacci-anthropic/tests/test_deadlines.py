"""An answer that is late is an error at the deadline, and the request ends."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from services.certificates import certificates

from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel
from fibonacci_anthropic.credentials import Secret, find_credentials
from fibonacci_anthropic.faults import map_errors

from .conftest import KEY, Ask
from .wire import SILENCE, Reply, Wire, answer, chunk, event, events, head, start, text

SECONDS = 0.25
EARLY = 0.002
"""Seconds by which a timer of uvloop may ring too early."""
LATE_BY = 1.5
"""Seconds after the deadline in which the error has come; what is played takes longer yet."""


def request() -> ModelRequest:
    return ModelRequest(prompt="Hi", deadline=monotonic() + SECONDS)


def trickle(data: bytes, pause: float = 0.05) -> Reply:
    """The same bytes, one by one."""
    return [step for at in range(len(data)) for step in (data[at : at + 1], pause)]


LATE: dict[str, Reply] = {
    "silence": [SILENCE],
    "slow head": trickle(head()),
    "head, then silence": [head(), SILENCE],
    "slow body": [head(), *trickle(b"".join(map(chunk, events("a long answer"))))],
    "pings for ever": [head(), *[chunk(event("ping")), 0.05] * 600],
    "text for ever": [head(), chunk(start()), *[chunk(text("x")[1]), 0.05] * 600],
    "slow refusal": [head(529, "application/json"), *trickle(chunk(b'{"error": {"type": "x"}}'))],
}


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """The first client imports the SDK, for seconds: that is not what is measured here."""
    import anthropic  # noqa: F401


@pytest.mark.parametrize("how", LATE)
def test_the_deadline(how: str, wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """However a service wastes the time, the deadline holds, and the connection is closed."""
    wire.plays(answer("warm"), LATE[how])
    ask(model, ModelRequest(prompt="Hi"))
    begin = monotonic()
    with pytest.raises(ModelError, match="deadline") as caught:
        ask(model, request())
    assert SECONDS - EARLY <= monotonic() - begin < SECONDS + LATE_BY
    assert caught.value.retryable
    assert wire.left.wait(60)


def test_a_deadline_that_has_passed(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """Nothing is asked after the deadline."""
    with pytest.raises(ModelError, match="deadline"):
        ask(model, ModelRequest(prompt="Hi", deadline=monotonic() - 1))
    assert not wire.asked


def test_a_timer_that_rings_early() -> None:
    """A timer of the event loop that rings just before the deadline is the deadline's."""

    async def late() -> None:
        raise TimeoutError

    access = find_credentials(Secret(KEY), Secret("http://127.0.0.1:1"))
    hours = ModelRequest(prompt="Hi", deadline=monotonic() + 3_600)
    with pytest.raises(ModelError, match="deadline"):
        asyncio.run(map_errors(late(), hours, access))


def test_a_deadline_that_is_kept(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """In time, the deadline changes nothing."""
    wire.plays(answer("yes"))
    assert ask(model, ModelRequest(prompt="Hi", deadline=monotonic() + 30)).text == "yes"


def test_a_stream_that_does_not_end(
    wire: Wire, model: AnthropicModel, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is whole is given, though its connection stays open; it is used no more.

    The client leaves in the midst of the silence.
    """
    monkeypatch.setattr("fibonacci_anthropic.stream.DRAIN_TIMEOUT", 0.05)
    wire.plays([head(), *map(chunk, events("whole")), SILENCE], answer("next"))
    assert ask(model, ModelRequest(prompt="Hi")).text == "whole"
    assert wire.left.wait(60)
    assert ask(model, ModelRequest(prompt="Hi")).text == "next"


def test_a_silence_without_a_deadline(
    wire: Wire, model: AnthropicModel, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that says nothing for too long is given up, deadline or not."""
    monkeypatch.setattr("fibonacci_anthropic.stream.IDLE_TIMEOUT", 0.2)
    wire.plays([head(), chunk(start()), SILENCE])
    with pytest.raises(ModelError, match="did not respond in time") as caught:
        ask(model, ModelRequest(prompt="Hi"))
    assert caught.value.retryable


def test_a_reader_that_is_slow(model: AnthropicModel, wire: Wire) -> None:
    """The deadline holds between the pieces of a stream, too: that of the caller's own time."""
    wire.plays(answer("one", "two"))
    stream = model.stream(request())
    next(stream)
    sleep(SECONDS)
    with pytest.raises(ModelError, match="deadline"):
        next(stream)


@pytest.fixture
def secure_wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The same service with TLS, as the real one."""
    made = certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with Wire(context) as wire:
        yield wire


def test_the_deadline_over_tls(secure_wire: Wire, ask: Ask) -> None:
    """The same holds where the connection is encrypted."""
    wire, model = secure_wire, AnthropicModel("claude-x", api_key=KEY, base_url=secure_wire.url)
    wire.plays(answer("warm"), LATE["slow body"])
    assert ask(model, ModelRequest(prompt="Hi")).text == "warm"
    begin = monotonic()
    with pytest.raises(ModelError, match="deadline"):
        ask(model, request())
    assert SECONDS - EARLY <= monotonic() - begin < SECONDS + LATE_BY
