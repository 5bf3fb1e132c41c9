"""Renders the parts of a message, in the formats of services and libraries, as text."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fibonacci_jinja.text import RefusedError, to_text

_LABELS: Final = {
    "audio": "audio",
    "document": "file",
    "file": "file",
    "file_data": "file",
    "image": "image",
    "image_file": "image",
    "image_url": "image",
    "input_audio": "audio",
    "input_file": "file",
    "input_image": "image",
    "output_audio": "audio",
    "reasoning": "thinking",
    "reasoning_content": "thinking",
    "redacted_thinking": "thinking",
    "thinking": "thinking",
    "video": "video",
    "video_url": "video",
}
"""The label in brackets for a kind whose content is not rendered. Other kinds are labels."""

_UNTYPED_KEYS: Final = (
    *("image", "audio", "video", "file", "document", "image_url", "json", "refusal"),
    *("inlineData", "inline_data", "fileData", "file_data"),
    *("functionCall", "function_call", "functionResponse", "function_response"),
    *("toolUse", "toolResult", "reasoningContent", "reasoning_content", "guardContent"),
    *("cachePoint", "executableCode", "executable_code"),
    *("codeExecutionResult", "code_execution_result"),
)
"""Keys that name the kind of a part without a ``type``: those of Gemini and Bedrock."""

_WRAPPERS: Final = ("inlineData", "inline_data", "fileData", "file_data")
_TEXT_KEYS: Final = {"type", "text", "thought", "thoughtSignature", "thought_signature"}
_CALL_SUFFIXES: Final = ("tool_use", "tool_call", "function_call")
_RESULT_SUFFIXES: Final = (
    *("tool_result", "function_response", "call_output", "call_response", "execution_result"),
)
_KIND_NAME: Final = re.compile(r"[A-Za-z0-9_./+]{1,64}")
_CAMEL_CASE: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Part(NamedTuple):
    """The text of one part; the result of a tool is the tool's, in any role's message."""

    text: str
    by_tool: bool = False


class _TypedPart(NamedTuple):
    kind: str
    body: Any


def content_parts(content: Any, location: str) -> Iterator[Part]:
    """Yield the parts of a content. Raises RefusedError if an item of a list is not a part."""
    if isinstance(content, list | tuple):
        for index, part in enumerate(content):
            yield _part(part, f"{location}[{index}]")
    elif content is not None:
        typed = _typed_part(content)
        # An output in JSON may have its own "type".
        is_part = typed is not None and _is_known(typed.kind)
        yield _render(typed, location) if typed and is_part else Part(to_text(content))


def value_parts(content: Any, location: str) -> Iterator[Part]:
    """Yield the same; a list of anything else than known parts is rendered as JSON."""
    is_value = isinstance(content, list | tuple) and not all(map(_is_part, content))
    yield from [Part(to_text(content))] if is_value else content_parts(content, location)


def standalone_part(part: Mapping[str, Any], location: str) -> Part | None:
    """Return a part that is listed like a message: a tool call, its result, or thinking."""
    typed = _typed_part(part)
    if typed is None or not _is_standalone(typed.kind):
        return None
    return _render(typed, location)


def tool_call(call: Any, location: str) -> Part:
    """Return the part for an item of ``tool_calls``, or for a ``function_call``."""
    if isinstance(call, Mapping):
        body = call.get("function") or call.get("custom") or call
        if isinstance(body, Mapping) and isinstance(body.get("name"), str):
            return _render(_TypedPart("tool_call", body), location)
    raise format_error(location, "a call has a name")


def format_error(location: str, reason: str) -> RefusedError:
    """Return the error for a message in an unknown format."""
    return RefusedError(
        f"chat can't read {location}: {reason}. Render it with | tojson, or in a loop"
    )


def _is_part(part: Any) -> bool:
    typed = _typed_part(part)
    return isinstance(part, str) or (typed is not None and _is_known(typed.kind))


def _is_known(kind: str) -> bool:
    return (
        kind in (*_LABELS, "json")
        or _is_text(kind)
        or kind.endswith((*_CALL_SUFFIXES, *_RESULT_SUFFIXES))
    )


def _is_text(kind: str) -> bool:
    return kind == "text" or kind.endswith("_text")


def _is_standalone(kind: str) -> bool:
    return _LABELS.get(kind) == "thinking" or kind.endswith(
        (*_CALL_SUFFIXES, *_RESULT_SUFFIXES, "_call")
    )


def _part(part: Any, location: str) -> Part:
    if isinstance(part, str):
        return Part(part)
    typed = _typed_part(part)
    if typed is None:
        raise format_error(location, "a part of a message is text, or has a type")
    return _render(typed, location)


def _typed_part(part: Any) -> _TypedPart | None:
    """Return the kind of a part and the object with its content; None if it is not a part."""
    if not isinstance(part, Mapping):
        return None
    if isinstance(part.get("type"), str):
        return _TypedPart(_snake_case(part["type"]), part)
    if isinstance(part.get("text"), str) and part.keys() <= _TEXT_KEYS:
        return _TypedPart("thinking" if part.get("thought") else "text", part)
    mime = part.get("mimeType", part.get("mime_type"))
    if isinstance(mime, str):
        return _TypedPart(_kind_of_mime(mime), part)
    key = next((key for key in _UNTYPED_KEYS if key in part), None)
    return None if key is None else _keyed_part(key, part)


def _keyed_part(key: str, part: Mapping[str, Any]) -> _TypedPart:
    """Return a part whose kind is its key; inline data has its own type."""
    if key == "refusal":
        return _TypedPart("text", part)
    inner = _typed_part(part[key]) if key in _WRAPPERS else None
    return inner or _TypedPart(_snake_case(key), part[key])


def _kind_of_mime(mime: str) -> str:
    kind = mime.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "file"


def _snake_case(kind: str) -> str:
    return _CAMEL_CASE.sub("_", kind).replace("-", "_").lower()


def _render(typed: _TypedPart, location: str) -> Part:
    kind, body = typed
    if not _KIND_NAME.fullmatch(kind):
        raise format_error(location, "its type is not an identifier")
    if kind.endswith(_RESULT_SUFFIXES):
        return Part(_result_text(body, location), by_tool=True)
    if kind == "json":
        return Part(to_text(body))
    return Part(_text_of(kind, body if isinstance(body, Mapping) else {}, location))


def _text_of(kind: str, body: Mapping[str, Any], location: str) -> str:
    label = _LABELS.get(kind, kind)
    content = None if label == "thinking" else _content_text(kind, body)
    if content is not None:
        return content
    if _is_text(kind):
        raise format_error(location, "it is a text part without text")
    return _call_text(kind, body) if kind.endswith(_CALL_SUFFIXES) else f"[{label}]"


def _content_text(kind: str, body: Mapping[str, Any]) -> str | None:
    """Return the text in a part, None if there is none."""
    names = ("text", "refusal", "transcript", *(("value", "content") if _is_text(kind) else ()))
    found = _first(body, *names)
    if isinstance(found, Mapping):
        found = _first(found, "value", "text")
    return found if isinstance(found, str) else None


def _call_text(kind: str, body: Mapping[str, Any]) -> str:
    name = _first(body, "name", "toolName", "tool_name")
    arguments = _first(body, "arguments", "args", "input", "parameters")
    words = [kind] if name is None else ["calls", to_text(name)]
    if arguments is not None:
        words.append(to_text(arguments))
    return f"[{' '.join(words)}]"


def _result_text(body: Any, location: str) -> str:
    if not isinstance(body, Mapping):
        return to_text(body)
    found = _first(body, "content", "output", "result", "response")
    result = " ".join(part.text for part in value_parts(found, location)) or "[empty]"
    failed = body.get("is_error") or body.get("isError") or body.get("status") == "error"
    return f"[error] {result}" if failed else result


def _first(body: Mapping[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)
