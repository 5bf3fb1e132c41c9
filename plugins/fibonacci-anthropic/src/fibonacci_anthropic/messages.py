"""The Messages API (``POST /v1/messages``): request bodies and the events of a response stream.

Unknown kinds of events, blocks and deltas are skipped, as the API requires of its clients; so are
thinking and tool use: a completion is the text.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, Usage
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_anthropic.caching import Cache, cached_history, cached_text
from fibonacci_anthropic.conversation import system_and_history

STOP_REASONS: Final[dict[str, Any]] = {
    "end_turn": "end",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "stop_sequence": "stop",
}

INPUT_COUNTERS: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""Counters of the API whose sum is the number of input tokens."""

REFUSAL_CATEGORIES: Final = frozenset(
    ("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms")
)
"""The API's fixed names for why a model refused. They can't quote a prompt."""

MAX_MODEL_NAME: Final = 256
"""Characters, as in the API."""

_log: Final = logging.getLogger("fibonacci.anthropic")
_warned_models: Final[set[str]] = set()


def request_body(model: str, request: ModelRequest, cache: Cache | None = None) -> dict[str, Any]:
    """Return the body of the request, which is always for a stream. Raises ModelError.

    With a stream, silence means a dead connection, and a response may take longer than the ten
    minutes that the API allows for one that is not streamed.
    """
    system, history = system_and_history(request)
    if cache is not None:
        history = cached_history(history, cache)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": [*history, {"role": "user", "content": request.prompt}],
        "stream": True,
    }
    if system:
        body["system"] = system if cache is None else cached_text(system, cache)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.output_format == "json" and request.output_schema is not None:
        schema = _strict_schema(request.output_schema)
        if schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def _strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema as the API accepts it, None if that would change its meaning.

    The API supports a part of JSON Schema, and only objects with named properties. The SDK moves
    the rest into descriptions, and core validates the output against the schema itself.
    """
    from anthropic import transform_schema

    try:
        return transform_schema(dict(schema)) if _names_all_properties(schema) else None
    except Exception as error:  # noqa: BLE001 - whatever a schema makes the SDK raise
        raise_for_signal(error)
        return None


def _names_all_properties(schema: Any) -> bool:
    """Return whether each object in the schema has named properties, and no others."""
    if isinstance(schema, list):
        return all(map(_names_all_properties, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and not schema.get("properties"):
        return False
    if schema.get("additionalProperties") or "patternProperties" in schema:
        return False
    return all(map(_names_all_properties, schema.values()))


class ResponseAccumulator:
    """Builds a completion from the events of a stream."""

    def __init__(self) -> None:
        self.is_complete = False
        self._texts: list[str] = []
        self._usage: dict[str, int] = {}
        self._stop_reason: str | None = None
        self._model: str | None = None

    def add(self, event: Any) -> str:
        """Add an event; return the text in it, or ""."""
        match event:
            case {
                "type": "content_block_delta",
                "delta": {"type": "text_delta", "text": str(text)},
            }:
                return self._add_text(text)
            case {
                "type": "content_block_start",
                "content_block": {"type": "text", "text": str(text)},
            }:
                return self._add_text(text)
            case {"type": "message_start", "message": {"usage": dict(usage)} as message}:
                self._update_usage(usage)
                self._model = _model_name(message.get("model"))
            case {"type": "message_delta", "delta": {"stop_reason": str(reason)}, **rest}:
                self._stop_reason = reason
                self._update_usage(rest.get("usage"))
                self._check_refusal(event["delta"])
            case {"type": "message_stop"} if self._stop_reason is not None:
                self.is_complete = True
        return ""

    def _add_text(self, text: str) -> str:
        self._texts.append(text)
        return text

    def _update_usage(self, usage: Any) -> None:
        """Store the latest counts: each covers the whole response so far."""
        if isinstance(usage, dict):
            self._usage |= {name: n for name, n in usage.items() if type(n) is int}

    def _check_refusal(self, delta: dict[str, Any]) -> None:
        if self._stop_reason == "refusal":
            details = delta.get("stop_details")
            category = details.get("category") if isinstance(details, dict) else None
            reason = f" ({category})" if category in REFUSAL_CATEGORIES else ""
            raise ModelError(
                f"anthropic: the model refused to continue{reason}; its partial output is "
                "discarded. Change the prompt or the history",
                usage=self._total_usage(),
            )

    def completion(self) -> Completion:
        """Return the complete response."""
        return Completion(
            text="".join(self._texts),
            usage=self._total_usage(),
            stop_reason=STOP_REASONS.get(self._stop_reason or ""),
            model=self._model,
        )

    def _total_usage(self) -> Usage:
        return Usage(
            input_tokens=sum(self._usage.get(name, 0) for name in INPUT_COUNTERS),
            output_tokens=self._usage.get("output_tokens", 0),
            cache_read_tokens=self._usage.get("cache_read_input_tokens", 0),
        )


def _model_name(name: Any) -> str | None:
    """Return the name of the model that the service has chosen, which a trace shows."""
    return name if isinstance(name, str) and 0 < len(name) <= MAX_MODEL_NAME else None


def warn_if_deprecated(model: str) -> None:
    """Log a warning, once per model and process, if the SDK knows its end of life.

    The SDK's own DeprecationWarning does not do: Python hides those raised within a library, and
    where warnings are errors it would fail the request.
    """
    from anthropic.resources.messages import DEPRECATED_MODELS

    if (day := DEPRECATED_MODELS.get(model)) and model not in _warned_models:
        _warned_models.add(model)
        _log.warning(
            "the model %s reaches its end of life on %s: move to a newer model", model, day
        )
