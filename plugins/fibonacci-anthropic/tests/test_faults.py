"""Errors: whether they are retryable, and that they quote nothing."""

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from services import ports
from services.certificates import certificates

from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest
from fibonacci_anthropic import AnthropicModel

from .conftest import KEY, Complete
from .fake_service import (
    DISCONNECT,
    LAST,
    FakeService,
    Reply,
    chunk,
    end,
    error_response,
    event,
    events,
    head,
    response,
    start,
    stream,
    text,
)

DISTANT = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
HI = ModelRequest(prompt="the prompt is secret", system_prompt="hunter2")


def error_of(
    service: FakeService, model: AnthropicModel, complete: Complete, reply: Reply
) -> ModelError:
    """Return the error for a reply, after checking that it and its attributes quote nothing."""
    service.add_replies(reply)
    with pytest.raises(ModelError) as caught:
        complete(model, HI)
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    for secret in (KEY, HI.prompt, "hunter2"):
        assert secret not in f"{error!r} {error} {vars(error)}"
    assert len(service.requests) == 1  # tried once
    return error


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (400, "invalid_request_error", False),
        (401, "authentication_error", False),
        (402, "billing_error", False),
        (403, "permission_error", False),
        (404, "not_found_error", False),
        (408, "timeout_error", True),
        (409, "conflict_error", True),
        (413, "request_too_large", False),
        (422, "invalid_request_error", False),
        (429, "rate_limit_error", True),
        (500, "api_error", True),
        (503, "api_error", True),
        (504, "timeout_error", True),
        (529, "overloaded_error", True),
    ],
)
def test_status_decides_retryable(
    service: FakeService,
    model: AnthropicModel,
    complete: Complete,
    code: int,
    kind: str,
    retryable: bool,
) -> None:
    """The error has the status, type and message; the status decides whether it is retryable."""
    error = error_of(
        service,
        model,
        complete,
        error_response(code, kind, "max_tokens: 9 > 8.", request_id="req_1"),
    )
    assert str(error).startswith(
        f"anthropic: the service returned an error, {code} {kind}: "
        "max_tokens: 9 > 8 (request req_1)"
    )
    assert error.retryable is retryable
    assert error.retry_after is None


def test_error_has_a_hint(service: FakeService, model: AnthropicModel, complete: Complete) -> None:
    """The error for a status with a known fix names the fix."""
    error = error_of(service, model, complete, error_response(401, "authentication_error"))
    assert str(error).endswith("authentication_error: a reason. Check ANTHROPIC_API_KEY")


@pytest.mark.parametrize(("header", "retryable"), [("true", True), ("false", False)])
def test_should_retry_header_overrides_the_status(
    service: FakeService, model: AnthropicModel, complete: Complete, header: str, retryable: bool
) -> None:
    """The header x-should-retry takes precedence over the status."""
    code = 400 if retryable else 529
    error = error_of(service, model, complete, error_response(code, x_should_retry=header))
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("0", 0),
        ("-3", 0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        (DISTANT, None),
    ],
)
def test_retry_after_in_seconds(
    service: FakeService,
    model: AnthropicModel,
    complete: Complete,
    header: str,
    seconds: float | None,
) -> None:
    """Retry-After in seconds is reported; an invalid value is ignored."""
    error = error_of(
        service, model, complete, error_response(429, "rate_limit_error", retry_after=header)
    )
    assert error.retry_after == seconds


def test_retry_after_as_a_date(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """Retry-After as a date is reported in seconds."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    error = error_of(
        service, model, complete, error_response(529, "overloaded_error", retry_after=date)
    )
    assert error.retry_after is not None
    assert 80 < error.retry_after <= 90


@pytest.mark.parametrize(
    "message",
    [
        "messages.0: 'the prompt is secret' is not allowed",
        "messages.0: '... prompt is sec ...'",
        "the\n prompt \tis secret",
        "system: hunter2",
        f"bad key {KEY}",
        f"bad key {KEY[:12]}...",
    ],
)
def test_message_that_quotes_the_request_is_left_out(
    service: FakeService, model: AnthropicModel, complete: Complete, message: str
) -> None:
    """A message that quotes the prompt or the key, or a part of them, is left out."""
    error = error_of(
        service, model, complete, error_response(400, "invalid_request_error", message)
    )
    assert str(error) == ("anthropic: the service returned an error, 400 invalid_request_error")


def test_invalid_type_and_request_id_are_left_out(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A type or request id that is not an identifier is left out; long messages are cut."""
    error = error_of(
        service, model, complete, error_response(400, HI.prompt, "w" * 1000, request_id=HI.prompt)
    )
    assert str(error) == "anthropic: the service returned an error, 400: " + "w" * 300


@pytest.mark.parametrize(
    "body", [b"", b"<html>the prompt is secret</html>", b"[]", b'{"error": 5}', b"\xff\xfe", b"{"]
)
def test_error_response_that_is_not_json(
    service: FakeService, model: AnthropicModel, complete: Complete, body: bytes
) -> None:
    """An error response of a proxy that is not JSON is reported by its status."""
    error = error_of(service, model, complete, [head(502, "text/html"), chunk(body), LAST])
    assert str(error) == "anthropic: the service returned an error, 502"
    assert error.retryable


def test_redirection_is_an_error(
    service: FakeService, model: AnthropicModel, complete: Complete
) -> None:
    """A redirection without a location raises ModelError."""
    error = error_of(service, model, complete, [head(304), LAST])
    assert str(error) == "anthropic: the service returned an error, 304"
    assert not error.retryable


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("overloaded_error", True),
        ("api_error", True),
        ("rate_limit_error", True),
        ("timeout_error", True),
        ("invalid_request_error", False),
    ],
)
def test_error_event_in_a_stream(
    service: FakeService, model: AnthropicModel, complete: Complete, kind: str, retryable: bool
) -> None:
    """An error event in a stream is retryable by its type, as it has no status."""
    broken = event("error", error={"type": kind, "message": "Overloaded"})
    error = error_of(service, model, complete, list(stream([start(), *text("half"), broken])))
    assert str(error) == (
        f"anthropic: the service returned an error, in the stream {kind}: Overloaded"
    )
    assert error.retryable is retryable


STREAM = b"".join(events("the prompt", " is secret"))


def truncation_offsets() -> list[int]:
    """Return every 23rd offset of a response, without the last byte that counts."""
    return list(range(0, len(STREAM) - 1, 23))


def truncated_replies(data: bytes) -> list[Reply]:
    """Return replies cut off in a complete chunk, in a chunk, by length and by connection end."""
    kind = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    return [
        [head(), chunk(data), LAST],
        [head(), chunk(data), DISCONNECT],
        [head(), chunk(STREAM)[: len(data)], DISCONNECT],
        [kind + b"content-length: %d\r\n\r\n" % len(STREAM), data, DISCONNECT],
        [kind + b"connection: close\r\n\r\n", data, DISCONNECT],
    ]


@pytest.mark.parametrize("way", range(5))
def test_truncated_response_is_retryable(way: int, complete: Complete) -> None:
    """A response cut off at any byte raises a retryable ModelError."""
    with FakeService() as service:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
        for offset in truncation_offsets():
            error = error_of(service, model, complete, truncated_replies(STREAM[:offset])[way])
            assert error.retryable, offset
            service.requests.clear()
        service.add_replies(response("all"))
        assert complete(model, HI).text == "all"


@pytest.mark.parametrize(
    "body",
    [
        b"event: message_start\ndata: {not json: the prompt is secret\n\n",
        b"event: message_start\ndata: \xff\xfe\n\n",
        b"<html>the prompt is secret</html>\n\n",
        b'{"type": "message", "content": [{"type": "text", "text": "no stream"}]}',
        event("message_stop"),
        b"",
    ],
)
def test_invalid_response_is_not_quoted(
    service: FakeService, model: AnthropicModel, complete: Complete, body: bytes
) -> None:
    """A response that can't be parsed raises an error that does not quote it."""
    error = error_of(service, model, complete, [head(), chunk(body), LAST])
    assert str(error) in {
        "anthropic: the response was cut off",
        "anthropic: the response can't be parsed: JSONDecodeError",
        "anthropic: the response can't be parsed: UnicodeDecodeError",
    }
    assert error.retryable


@pytest.mark.parametrize(
    "reply",
    [
        [DISCONNECT],
        [b"HTTP/1.1 200", DISCONNECT],
        [b"the prompt is secret\r\n\r\n"],
        [b"SSH-2.0\r\n\r\n"],
    ],
)
def test_invalid_http_is_retryable(
    service: FakeService, model: AnthropicModel, complete: Complete, reply: list[Any]
) -> None:
    """A connection that breaks before the response raises a retryable ModelError."""
    error = error_of(service, model, complete, reply)
    assert str(error).startswith("anthropic: the connection broke: ")
    assert error.retryable


def test_refused_connection(complete: Complete) -> None:
    """A refused connection raises a retryable ModelError."""
    model = AnthropicModel("claude-x", api_key=KEY, base_url=f"http://127.0.0.1:{ports.claim()}")
    with pytest.raises(ModelError, match="the connection broke") as caught:
        complete(model, HI)
    assert caught.value.retryable


def test_untrusted_certificate(tmp_path: Path, complete: Complete) -> None:
    """An untrusted certificate raises ModelError, and nothing is sent."""
    certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with FakeService(context) as service:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
        reason = r"verification failed: .*(issuer|self-signed|verify).* set SSL_CERT_FILE to "
        with pytest.raises(ModelError, match=reason) as caught:
            complete(model, HI)
        assert not caught.value.retryable
        assert not service.requests


def test_lax_certificate_is_accepted(
    tmp_path: Path, complete: Complete, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trusted certificate that breaks a rule of VERIFY_X509_STRICT is accepted."""
    plain = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = plain(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates(tmp_path, lax=True).ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with FakeService(context) as service:
        service.add_replies(response("yes"))
        model = AnthropicModel("claude-x", api_key=KEY, base_url=service.url)
        assert complete(model, HI).text == "yes"


def test_error_message_is_one_line(service: FakeService, model: AnthropicModel) -> None:
    """The service's message is reported as one line."""
    service.add_replies(
        error_response(400, "invalid_request_error", "line one\nline two" + json.dumps({}))
    )
    with pytest.raises(ModelError, match=r"line one line two\{\}$"):
        model.complete(ModelRequest(prompt="Hi"))


def test_broken_stream_yields_its_deltas_first(service: FakeService, model: AnthropicModel) -> None:
    """A stream that breaks yields the deltas received, then raises, and has no completion."""
    service.add_replies(
        [head(), *map(chunk, [start(), *text("half")]), DISCONNECT], list(stream(end()))
    )
    pieces = model.stream(HI)
    assert next(pieces).text == "half"
    with pytest.raises(ModelError, match="broke"):
        next(pieces)
    assert list(pieces) == []
