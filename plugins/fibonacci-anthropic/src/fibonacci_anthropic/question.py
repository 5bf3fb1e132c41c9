"""From a request to what the Messages API is asked (``POST /v1/messages``)."""

from collections.abc import Mapping
from typing import Any

from fibonacci.plugin import ModelRequest
from fibonacci.plugin.runtime import raise_for_signal


def question(model: str, request: ModelRequest) -> dict[str, Any]:
    """Return the body of the request: a stream is asked for, in any case.

    Where an answer comes piece by piece, a silence tells a dead connection, and an answer may take
    longer than the ten minutes that the API allows for a whole one.
    """
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens,
        "messages": [{"role": "user", "content": request.prompt}],
        "stream": True,
    }
    if request.system_prompt:
        body["system"] = request.system_prompt
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.output_format == "json" and request.output_schema is not None:
        schema = _strict(request.output_schema)
        if schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def _strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema as the API takes it, None where that would not be the same.

    The API knows a part of JSON Schema, and objects with named properties only; what is left out
    is told to the model in words, and core checks the answer against the schema itself.
    """
    from anthropic import transform_schema

    try:
        return transform_schema(dict(schema)) if _names_all(schema) else None
    except Exception as fault:  # noqa: BLE001 - whatever a schema makes the SDK raise
        raise_for_signal(fault)
        return None


def _names_all(schema: Any) -> bool:
    """Say whether each object in the schema has names for its properties, and no others."""
    if isinstance(schema, list):
        return all(_names_all(one) for one in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and not schema.get("properties"):
        return False
    if schema.get("additionalProperties") or "patternProperties" in schema:
        return False
    return all(_names_all(one) for one in schema.values())
