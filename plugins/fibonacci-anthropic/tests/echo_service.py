"""The replies of a service that repeats each prompt, one word per token."""

from typing import Any, Final

from .fake_service import SILENCE, Reply, chunk, end, error_response, head, start, stream, text

SLOW: Final = "a question that takes long"
ENDLESS: Final = "a question without an end"
REFUSED: Final = "a question that is refused"
BUSY: Final = "a question that comes too early"


def echo(body: dict[str, Any]) -> Reply:
    """Return the reply to a request of the Messages API."""
    prompt = content_text(body["messages"][-1]["content"])
    if prompt == SLOW:
        return [SILENCE]
    if prompt == ENDLESS:
        return [head(), chunk(start()), *[chunk(text("on and ")[1]), 0.01] * 2000]
    if prompt == REFUSED:
        return error_response(400, "invalid_request_error", f"no: {prompt}")
    if prompt == BUSY:
        return error_response(429, "rate_limit_error", f"later: {prompt}", retry_after=1)
    return list(stream(repeated_events(f"You said: {prompt}", body)))


def content_text(content: str | list[dict[str, Any]]) -> str:
    """Return the text of a message's content, which may be a list of blocks."""
    if isinstance(content, str):
        return content
    return " ".join(block["text"] for block in content if block["type"] == "text")


def repeated_events(completion: str, body: dict[str, Any]) -> list[bytes]:
    """Return the events of a response, ended by the request's stop texts or max_tokens."""
    stops = [completion.find(stop) for stop in body.get("stop_sequences", ()) if stop in completion]
    words = [f"{word} " for word in completion[: min(stops, default=None)].split(" ")]
    words[-1] = words[-1][:-1]
    limit = body["max_tokens"]
    reason = "max_tokens" if len(words) > limit else "stop_sequence" if stops else "end_turn"
    words = words[:limit]
    return [start(input_tokens=1), *text(*words), *end(reason, output_tokens=len(words))]
