"""Deadlines: a late response raises an error at the deadline and ends the request."""

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

from .conftest import KEY, Complete
from .fake_service import (
    SILENCE,
    FakeService,
    Reply,
    chunk,
    event,
    events,
    head,
    response,
    start,
    text,
)

SECONDS = 0.25
EARLY = 0.002
"""Seconds by which a timer of uvloop may fire too early."""
LATE_BY = 1.5
"""Seconds after the deadline by which the error is raised; the replies take longer."""


def request() -> ModelRequest:
    return ModelRequest(prompt="Hi", deadline=monotonic() + SECONDS)


def trickle(data: bytes, pause: float = 0.05) -> Reply:
    """Return a reply with the bytes one by one."""
    return [step for at in range(len(data)) for step in (data[at : at + 1], pause)]


LATE: dict[str, Reply] = {
    "silence": [SILENCE],
    "slow head": trickle(head()),
    "head, then silence": [head(), SILENCE],
    "slow body": [head(), *trickle(b"".join(map(chunk, events("a long reply"))))],
    "pings forever": [head(), *[chunk(event("ping")), 0.05] * 600],
    "text forever": [head(), chunk(start()), *[chunk(text("x")[1]), 0.05] * 600],
    "slow refusal": [head(529, "application/json"), *trickle(chunk(b'{"error": {"type": "x"}}'))],
}


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """Import the SDK, which takes seconds that are not measured here."""
    import anthropic  # noqa: F401


@pytest.mark.parametrize("how", LATE)
def test_deadline_holds_however_slow_the_service_is(
    how: str, service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """At the deadline the request raises ModelError, and its connection is closed."""
    service.add_replies(response("warm"), LATE[how])
    complete(model, ModelRequest(prompt="Hi"))
    started = monotonic()
    with pytest.raises(ModelError, match="deadline") as caught:
        complete(model, request())
    assert SECONDS - EARLY <= monotonic() - started < SECONDS + LATE_BY
    assert caught.value.retryable
    assert service.disconnected.wait(60)


def test_expired_deadline_sends_nothing(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """After its deadline no request is sent."""
    with pytest.raises(ModelError, match="deadline"):
        complete(model, ModelRequest(prompt="Hi", deadline=monotonic() - 1))
    assert not service.requests


def test_early_timer_counts_as_the_deadline() -> None:
    """A TimeoutError of the loop just before the deadline is reported as the deadline."""

    async def late() -> None:
        raise TimeoutError

    credentials = find_credentials(Secret(KEY), Secret("http://127.0.0.1:1"))
    hours = ModelRequest(prompt="Hi", deadline=monotonic() + 3_600)
    with pytest.raises(ModelError, match="deadline"):
        asyncio.run(map_errors(late(), hours, credentials))


def test_request_within_the_deadline_succeeds(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A deadline that is not reached changes nothing."""
    service.add_replies(response("yes"))
    assert complete(model, ModelRequest(prompt="Hi", deadline=monotonic() + 30)).text == "yes"


def test_complete_response_on_an_open_connection(
    service: FakeService, model: AnthropicModel, complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete response is returned though its connection stays open; it is not reused.

    The client disconnects during the pause.
    """
    monkeypatch.setattr("fibonacci_anthropic.stream.DRAIN_TIMEOUT", 0.05)
    service.add_replies([head(), *map(chunk, events("whole")), SILENCE], response("next"))
    assert complete(model, ModelRequest(prompt="Hi")).text == "whole"
    assert service.disconnected.wait(60)
    assert complete(model, ModelRequest(prompt="Hi")).text == "next"


def test_idle_timeout_without_a_deadline(
    service: FakeService, model: AnthropicModel, complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent service times out without a deadline, too."""
    monkeypatch.setattr("fibonacci_anthropic.stream.IDLE_TIMEOUT", 0.2)
    service.add_replies([head(), chunk(start()), SILENCE])
    with pytest.raises(ModelError, match="did not respond in time") as caught:
        complete(model, ModelRequest(prompt="Hi"))
    assert caught.value.retryable


def test_deadline_includes_the_time_of_the_reader(
    model: AnthropicModel, service: FakeService
) -> None:
    """The deadline also holds between the deltas of a stream, for a slow reader."""
    service.add_replies(response("one", "two"))
    stream = model.stream(request())
    next(stream)
    sleep(SECONDS)
    with pytest.raises(ModelError, match="deadline"):
        next(stream)


@pytest.fixture
def secure_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    """A scripted service with TLS."""
    files = certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with FakeService(context) as service:
        yield service


def test_deadline_holds_over_tls(secure_service: FakeService, complete: Complete) -> None:
    """The deadline holds for a slow response over TLS."""
    service, model = (
        secure_service,
        AnthropicModel("claude-x", api_key=KEY, base_url=secure_service.url),
    )
    service.add_replies(response("warm"), LATE["slow body"])
    assert complete(model, ModelRequest(prompt="Hi")).text == "warm"
    started = monotonic()
    with pytest.raises(ModelError, match="deadline"):
        complete(model, request())
    assert SECONDS - EARLY <= monotonic() - started < SECONDS + LATE_BY
