"""The parts of a message, as services and libraries have them, as text for a prompt."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fibonacci_jinja.text import RefusedError, text

_WORDS: Final = {
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
"""What stands in brackets for a kind that is not shown. Other kinds stand there themselves."""

_UNTYPED: Final = (
    *("image", "audio", "video", "file", "document", "image_url", "json", "refusal"),
    *("inlineData", "inline_data", "fileData", "file_data"),
    *("functionCall", "function_call", "functionResponse", "function_response"),
    *("toolUse", "toolResult", "reasoningContent", "reasoning_content", "guardContent"),
    *("cachePoint", "executableCode", "executable_code"),
    *("codeExecutionResult", "code_execution_result"),
)
"""Keys that name the kind of a part where it has no ``type``: Gemini's, and Bedrock's."""

_WRAPPERS: Final = ("inlineData", "inline_data", "fileData", "file_data")
_TEXT_ONLY: Final = {"type", "text", "thought", "thoughtSignature", "thought_signature"}
_CALLS: Final = ("tool_use", "tool_call", "function_call")
_RESULTS: Final = (
    *("tool_result", "function_response", "call_output", "call_response", "execution_result"),
)
_KIND: Final = re.compile(r"[A-Za-z0-9_./+]{1,64}")
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Part(NamedTuple):
    """What one part says; what a tool answers is the tool's, in whosever message it stands."""

    text: str
    by_tool: bool = False


class _Marked(NamedTuple):
    kind: str
    body: Any


def parts(content: Any, where: str) -> Iterator[Part]:
    """Yield what a content says. Raises RefusedError where a list holds what is no part."""
    if isinstance(content, list | tuple):
        for index, part in enumerate(content):
            yield _part(part, f"{where}[{index}]")
    elif content is not None:
        marked = _marked(content)
        # An answer in JSON may have a type of its own.
        is_part = marked is not None and _is_known(marked.kind)
        yield _shown(marked, where) if marked and is_part else Part(text(content))


def values(content: Any, where: str) -> Iterator[Part]:
    """Yield the same; a list that is not made of known parts is a value like any other: JSON."""
    whole = isinstance(content, list | tuple) and not all(map(_is_part, content))
    yield from [Part(text(content))] if whole else parts(content, where)


def item(part: Mapping[str, Any], where: str) -> Part | None:
    """Return what a part says that stands among messages: a call, its result, a thought."""
    marked = _marked(part)
    if marked is None or not _stands_alone(marked.kind):
        return None
    return _shown(marked, where)


def call(called: Any, where: str) -> Part:
    """Return a call of a tool, as it stands in ``tool_calls`` or ``function_call``."""
    if isinstance(called, Mapping):
        body = called.get("function") or called.get("custom") or called
        if isinstance(body, Mapping) and isinstance(body.get("name"), str):
            return _shown(_Marked("tool_call", body), where)
    raise refuse(where, "a call has a name")


def refuse(where: str, due: str) -> RefusedError:
    """Return the error for what is in no form that is known."""
    return RefusedError(f"chat can't read {where}: {due}. Print it by | tojson, or in a loop")


def _is_part(part: Any) -> bool:
    marked = _marked(part)
    return isinstance(part, str) or (marked is not None and _is_known(marked.kind))


def _is_known(kind: str) -> bool:
    return kind in (*_WORDS, "json") or _is_text(kind) or kind.endswith((*_CALLS, *_RESULTS))


def _is_text(kind: str) -> bool:
    return kind == "text" or kind.endswith("_text")


def _stands_alone(kind: str) -> bool:
    return _WORDS.get(kind) == "thinking" or kind.endswith((*_CALLS, *_RESULTS, "_call"))


def _part(part: Any, where: str) -> Part:
    if isinstance(part, str):
        return Part(part)
    marked = _marked(part)
    if marked is None:
        raise refuse(where, "a part of a message is text, or has a type")
    return _shown(marked, where)


def _marked(part: Any) -> _Marked | None:
    """Return the kind of a part, and what holds its content; None if it is no part."""
    if not isinstance(part, Mapping):
        return None
    if isinstance(part.get("type"), str):
        return _Marked(_snake(part["type"]), part)
    if isinstance(part.get("text"), str) and part.keys() <= _TEXT_ONLY:
        return _Marked("thinking" if part.get("thought") else "text", part)
    mime = part.get("mimeType", part.get("mime_type"))
    if isinstance(mime, str):
        return _Marked(_of_mime(mime), part)
    named = next((key for key in _UNTYPED if key in part), None)
    return None if named is None else _named(named, part)


def _named(key: str, part: Mapping[str, Any]) -> _Marked:
    """Return a part whose kind is its key; data in line have a type of their own."""
    if key == "refusal":
        return _Marked("text", part)
    inner = _marked(part[key]) if key in _WRAPPERS else None
    return inner or _Marked(_snake(key), part[key])


def _of_mime(mime: str) -> str:
    kind = mime.partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "file"


def _snake(kind: str) -> str:
    return _HUMP.sub("_", kind).replace("-", "_").lower()


def _shown(marked: _Marked, where: str) -> Part:
    kind, body = marked
    if not _KIND.fullmatch(kind):
        raise refuse(where, "its type is no plain name")
    if kind.endswith(_RESULTS):
        return Part(_result(body, where), by_tool=True)
    if kind == "json":
        return Part(text(body))
    return Part(_told(kind, body if isinstance(body, Mapping) else {}, where))


def _told(kind: str, body: Mapping[str, Any], where: str) -> str:
    word = _WORDS.get(kind, kind)
    said = None if word == "thinking" else _said(kind, body)
    if said is not None:
        return said
    if _is_text(kind):
        raise refuse(where, "it should be text, and has none")
    return _called(kind, body) if kind.endswith(_CALLS) else f"[{word}]"


def _said(kind: str, body: Mapping[str, Any]) -> str | None:
    """Return the words of a part, if it has some."""
    names = ("text", "refusal", "transcript", *(("value", "content") if _is_text(kind) else ()))
    found = _first(body, *names)
    if isinstance(found, Mapping):
        found = _first(found, "value", "text")
    return found if isinstance(found, str) else None


def _called(kind: str, body: Mapping[str, Any]) -> str:
    name = _first(body, "name", "toolName", "tool_name")
    given = _first(body, "arguments", "args", "input", "parameters")
    told = [kind] if name is None else ["calls", text(name)]
    return f"[{' '.join(told if given is None else [*told, text(given)])}]"


def _result(body: Any, where: str) -> str:
    if not isinstance(body, Mapping):
        return text(body)
    found = _first(body, "content", "output", "result", "response")
    told = " ".join(part.text for part in values(found, where)) or "[empty]"
    failed = body.get("is_error") or body.get("isError") or body.get("status") == "error"
    return f"[error] {told}" if failed else told


def _first(body: Mapping[str, Any], *names: str) -> Any:
    return next((body[name] for name in names if body.get(name) is not None), None)
