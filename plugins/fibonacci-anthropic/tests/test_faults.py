"""What goes wrong on the way: whether another try may help, and no word of what was said."""

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

from .conftest import KEY, Ask
from .wire import (
    HANG_UP,
    LAST,
    Reply,
    Wire,
    answer,
    chunk,
    end,
    event,
    events,
    head,
    start,
    status,
    stream,
    text,
)

DISTANT = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
HI = ModelRequest(prompt="the prompt is secret", system_prompt="hunter2")


def fault(wire: Wire, model: AnthropicModel, ask: Ask, reply: Reply) -> ModelError:
    """The error that a reply leads to; it, and all that hangs on it, quotes nothing."""
    wire.plays(reply)
    with pytest.raises(ModelError) as caught:
        ask(model, HI)
    error = caught.value
    assert error.__cause__ is error.__context__ is None
    for secret in (KEY, HI.prompt, "hunter2"):
        assert secret not in f"{error!r} {error} {vars(error)}"
    assert len(wire.asked) == 1  # tried once
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
def test_statuses(
    wire: Wire, model: AnthropicModel, ask: Ask, code: int, kind: str, retryable: bool
) -> None:
    """A status says whether another try may help; the error has it, its kind and its words."""
    error = fault(wire, model, ask, status(code, kind, "max_tokens: 9 > 8.", request_id="req_1"))
    assert str(error).startswith(
        f"anthropic: the service returned an error, {code} {kind}: "
        "max_tokens: 9 > 8 (request req_1)"
    )
    assert error.retryable is retryable
    assert error.retry_after is None


def test_how_to_mend_it(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """Where a status tells what to do, the error does."""
    error = fault(wire, model, ask, status(401, "authentication_error"))
    assert str(error).endswith("authentication_error: words. Check ANTHROPIC_API_KEY")


@pytest.mark.parametrize(("said", "retryable"), [("true", True), ("false", False)])
def test_the_service_may_say_whether_to_try_again(
    wire: Wire, model: AnthropicModel, ask: Ask, said: str, retryable: bool
) -> None:
    """Its word counts more than the status."""
    code = 400 if retryable else 529
    error = fault(wire, model, ask, status(code, x_should_retry=said))
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
    wire: Wire, model: AnthropicModel, ask: Ask, header: str, seconds: float | None
) -> None:
    """The service says when to try again at the earliest; what is no number is left out."""
    error = fault(wire, model, ask, status(429, "rate_limit_error", retry_after=header))
    assert error.retry_after == seconds


def test_retry_after_as_a_date(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """The header may hold a date, too."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    error = fault(wire, model, ask, status(529, "overloaded_error", retry_after=date))
    assert error.retry_after is not None
    assert 80 < error.retry_after <= 90


@pytest.mark.parametrize(
    "words",
    [
        "messages.0: 'the prompt is secret' is not allowed",
        "messages.0: '... prompt is sec ...'",
        "the\n prompt \tis secret",
        "system: hunter2",
        f"bad key {KEY}",
        f"bad key {KEY[:12]}...",
    ],
)
def test_words_that_quote_are_left_out(
    wire: Wire, model: AnthropicModel, ask: Ask, words: str
) -> None:
    """A service that repeats what it was told, or a part of it, is not repeated."""
    error = fault(wire, model, ask, status(400, "invalid_request_error", words))
    assert str(error) == ("anthropic: the service returned an error, 400 invalid_request_error")


def test_a_kind_that_quotes_is_left_out(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """What should be a name and is none is left out, too; long words are cut."""
    error = fault(wire, model, ask, status(400, HI.prompt, "w" * 1000, request_id=HI.prompt))
    said = "anthropic: the service returned an error, 400: " + "w" * 300
    assert str(error) == said


@pytest.mark.parametrize(
    "body", [b"", b"<html>the prompt is secret</html>", b"[]", b'{"error": 5}', b"\xff\xfe", b"{"]
)
def test_a_refusal_that_is_no_json(
    wire: Wire, model: AnthropicModel, ask: Ask, body: bytes
) -> None:
    """A proxy in between answers in its own way."""
    error = fault(wire, model, ask, [head(502, "text/html"), chunk(body), LAST])
    assert str(error) == "anthropic: the service returned an error, 502"
    assert error.retryable


def test_a_status_that_is_neither(wire: Wire, model: AnthropicModel, ask: Ask) -> None:
    """A redirection to nowhere is a refusal, too."""
    error = fault(wire, model, ask, [head(304), LAST])
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
def test_an_error_inside_a_stream(
    wire: Wire, model: AnthropicModel, ask: Ask, kind: str, retryable: bool
) -> None:
    """A stream that has begun well may end in an error, which has no status of its own."""
    broken = event("error", error={"type": kind, "message": "Overloaded"})
    error = fault(wire, model, ask, list(stream([start(), *text("half"), broken])))
    assert str(error) == (
        f"anthropic: the service returned an error, in the stream {kind}: Overloaded"
    )
    assert error.retryable is retryable


WHOLE = b"".join(events("the prompt", " is secret"))


def cut_offsets() -> list[int]:
    """Every 23rd byte of an answer, up to the last but one that counts."""
    return list(range(0, len(WHOLE) - 1, 23))


def how_it_is_cut(data: bytes) -> list[Reply]:
    """In chunks that end well or not, at a length that is known, and at a connection's end."""
    kind = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    return [
        [head(), chunk(data), LAST],
        [head(), chunk(data), HANG_UP],
        [head(), chunk(WHOLE)[: len(data)], HANG_UP],
        [kind + b"content-length: %d\r\n\r\n" % len(WHOLE), data, HANG_UP],
        [kind + b"connection: close\r\n\r\n", data, HANG_UP],
    ]


@pytest.mark.parametrize("way", range(5))
def test_an_answer_that_is_cut(way: int, ask: Ask) -> None:
    """Wherever an answer is cut, it is no answer, and another try may help."""
    with Wire() as wire:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=wire.url)
        for offset in cut_offsets():
            error = fault(wire, model, ask, how_it_is_cut(WHOLE[:offset])[way])
            assert error.retryable, offset
            wire.asked.clear()
        wire.plays(answer("all"))
        assert ask(model, HI).text == "all"


@pytest.mark.parametrize(
    "said",
    [
        b"event: message_start\ndata: {not json: the prompt is secret\n\n",
        b"event: message_start\ndata: \xff\xfe\n\n",
        b"<html>the prompt is secret</html>\n\n",
        b'{"type": "message", "content": [{"type": "text", "text": "no stream"}]}',
        event("message_stop"),
        b"",
    ],
)
def test_what_is_no_answer(wire: Wire, model: AnthropicModel, ask: Ask, said: bytes) -> None:
    """What can't be read is an error that quotes nothing of it."""
    error = fault(wire, model, ask, [head(), chunk(said), LAST])
    assert str(error) in {
        "anthropic: the response was cut off",
        "anthropic: the response can't be parsed: JSONDecodeError",
        "anthropic: the response can't be parsed: UnicodeDecodeError",
    }
    assert error.retryable


@pytest.mark.parametrize(
    "reply",
    [
        [HANG_UP],
        [b"HTTP/1.1 200", HANG_UP],
        [b"the prompt is secret\r\n\r\n"],
        [b"SSH-2.0\r\n\r\n"],
    ],
)
def test_what_is_no_http(wire: Wire, model: AnthropicModel, ask: Ask, reply: list[Any]) -> None:
    """A connection that breaks before the answer may be better the next time."""
    error = fault(wire, model, ask, reply)
    assert str(error).startswith("anthropic: the connection broke: ")
    assert error.retryable


def test_nobody_listens(ask: Ask) -> None:
    """A refused connection is an error that says so."""
    model = AnthropicModel("claude-x", api_key=KEY, base_url=f"http://127.0.0.1:{ports.claim()}")
    with pytest.raises(ModelError, match="the connection broke") as caught:
        ask(model, HI)
    assert caught.value.retryable


def test_a_certificate_that_is_not_trusted(tmp_path: Path, ask: Ask) -> None:
    """The service's certificate is checked; nothing is sent where it is a stranger's."""
    certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with Wire(context) as wire:
        model = AnthropicModel("claude-x", api_key=KEY, base_url=wire.url)
        reason = r"verification failed: .*(issuer|self-signed|verify).* set SSL_CERT_FILE to "
        with pytest.raises(ModelError, match=reason) as caught:
            ask(model, HI)
        assert not caught.value.retryable
        assert not wire.asked


def test_rules_of_newer_pythons(tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of old, as proxies of companies show them, is taken where it is trusted."""
    plain = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = plain(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates(tmp_path, lax=True).ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with Wire(context) as wire:
        wire.plays(answer("yes"))
        model = AnthropicModel("claude-x", api_key=KEY, base_url=wire.url)
        assert ask(model, HI).text == "yes"


def test_an_error_is_data(wire: Wire, model: AnthropicModel) -> None:
    """What an error says is JSON's own text, cut to one line."""
    wire.plays(status(400, "invalid_request_error", "line one\nline two" + json.dumps({})))
    with pytest.raises(ModelError, match=r"line one line two\{\}$"):
        model.complete(ModelRequest(prompt="Hi"))


def test_a_stream_that_breaks_tells_its_pieces_first(wire: Wire, model: AnthropicModel) -> None:
    """The pieces that came are given; then comes the error, and never the whole."""
    wire.plays([head(), *map(chunk, [start(), *text("half")]), HANG_UP], list(stream(end())))
    pieces = model.stream(HI)
    assert next(pieces).text == "half"
    with pytest.raises(ModelError, match="broke"):
        next(pieces)
    assert list(pieces) == []
