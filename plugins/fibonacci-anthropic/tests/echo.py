"""A service that answers by itself: it says again what it was asked, a word a token."""

from typing import Any, Final

from .wire import SILENCE, Reply, chunk, end, head, start, status, stream, text

SLOW: Final = "a question that takes long"
ENDLESS: Final = "a question without an end"
REFUSED: Final = "a question that is refused"
BUSY: Final = "a question that comes too early"


def echo(body: dict[str, Any]) -> Reply:
    """Answer a request of the Messages API."""
    prompt = body["messages"][0]["content"]
    if prompt == SLOW:
        return [SILENCE]
    if prompt == ENDLESS:
        return [head(), chunk(start()), *[chunk(text("on and ")[1]), 0.01] * 2000]
    if prompt == REFUSED:
        return status(400, "invalid_request_error", f"no: {prompt}")
    if prompt == BUSY:
        return status(429, "rate_limit_error", f"later: {prompt}", retry_after=1)
    return list(stream(said(f"You said: {prompt}", body)))


def said(whole: str, body: dict[str, Any]) -> list[bytes]:
    """The events of an answer, which ends where the request has it end."""
    stops = [whole.find(one) for one in body.get("stop_sequences", ()) if one in whole]
    pieces = [f"{word} " for word in whole[: min(stops, default=None)].split(" ")]
    pieces[-1] = pieces[-1][:-1]
    limit = body["max_tokens"]
    reason = "max_tokens" if len(pieces) > limit else "stop_sequence" if stops else "end_turn"
    pieces = pieces[:limit]
    return [start(input_tokens=1), *text(*pieces), *end(reason, output_tokens=len(pieces))]
