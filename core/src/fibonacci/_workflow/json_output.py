"""The JSON value in a model's completion, and whether it matches the node's JSON Schema.

Models put JSON into a fenced block, write text before and after it, and think aloud first. The
first of these that holds a value counts:

1. the whole text, without the parts in which the model thinks;
2. the fenced blocks;
3. objects between words, and lists that hold one;
4. another list between words, if nothing else is in brackets.

A number, a text or ``null`` therefore counts as the whole text, or in a fenced block. If the node
has a schema, only values that match it count. Of two equal keys in an object the last one counts,
as in values that are read from memory.

The text is scanned once, from start to end, in time proportional to its size, whatever is in it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from fibonacci._memory import codec, strict_json
from fibonacci._workflow.reasoning import without_reasoning
from fibonacci.errors import FibonacciError, ModelError, WorkflowValidationError
from fibonacci.plugin.address import Address, Space
from fibonacci.plugin.models import Completion

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Check = Callable[[Any], None]
"""Raises a retryable ModelError if a value does not match the schema."""

MAX_PARTS: Final = 1_000
"""Blocks and brackets that are scanned: a text that has more of them is no JSON output."""

_NO_VALUE: Final = object()

_PART: Final = re.compile(r"`{3,}(?P<json>[ \t]*json\w*)?|[\[{]", re.IGNORECASE)
_FENCE_END: Final = re.compile(r"\s*`{3,}")
_WHITESPACE: Final = re.compile(r"\s*")
_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A bracket; or a string, whose brackets do not count."""

_DECODER: Final = strict_json.make_decoder(strict=False)
_ADDRESS: Final = Address(Space("", "global", ""), "answer")

_NO_JSON: Final = "the completion is not JSON"
_AMBIGUOUS: Final = "the completion holds several different JSON values"
_CUT: Final = "the completion was cut off at max_tokens, before its JSON was complete"

_FIXES: Final = {
    _NO_JSON: "Tell the model in the prompt to return only JSON",
    _AMBIGUOUS: (
        "Tell the model in the prompt to return only one, or select one with output_schema"
    ),
    _CUT: "Raise max_tokens of the node, or ask for less",
}
"""What its author can do about a completion that is rejected."""


def parse_json_output(completion: Completion, check: Check | None = None) -> Any:
    """Return the value in the completion that passes the check.

    Raises ModelError, retryable unless the schema itself is at fault; its ``answer`` is the whole
    text.
    """
    value, error = _select(completion, check)
    if error is None:
        return value
    error.answer, error.usage = completion.text, completion.usage
    raise error.with_traceback(None)  # the frames that it came through hold values of the text


def _select(completion: Completion, check: Check | None) -> tuple[Any, ModelError | None]:
    """Return the value that counts, or the error if there is none."""
    mismatch: ModelError | None = None
    for values in _candidates(completion.text):
        errors = [_mismatch(check, value) for value in values]
        matching = [value for value, error in zip(values, errors, strict=True) if error is None]
        if len(matching) > 1 and len({json.dumps(item, sort_keys=True) for item in matching}) > 1:
            return None, _rejected(_AMBIGUOUS)
        if matching:
            return matching[0], None
        mismatch = mismatch or next(iter(errors), None)
    if completion.stop_reason == "max_tokens":
        return None, _rejected(_CUT)
    return None, mismatch or _rejected(_NO_JSON)


def _rejected(problem: str) -> ModelError:
    return ModelError(f"{problem}. {_FIXES[problem]}", retryable=True)


def rejected_for(error: Exception) -> str | None:
    """Return why a completion was rejected, for the model; None if it was another error."""
    if not isinstance(error, ModelError) or error.answer is None:
        return None
    text = str(error)
    return next((problem for problem in _FIXES if text.startswith(problem)), text)


def _mismatch(check: Check | None, value: Any) -> ModelError | None:
    try:
        if check is not None:
            check(value)
    except ModelError as error:
        return error
    return None


def _candidates(text: str) -> Iterator[list[Any]]:
    """Yield the values that may be meant, in the order in which they count."""
    stripped = text.strip().lstrip("\ufeff")
    for whole in (stripped, without_reasoning(stripped)):
        value = _parse_whole(whole)
        if value is not _NO_VALUE:
            yield [value]
            return
    parts = _Parts(whole)
    yield from (parts.fenced, parts.objects, parts.lists)


def _parse_whole(text: str) -> Any:
    """Return the value if the whole text is one, else _NO_VALUE."""
    value, end = _parse_at(text, 0)
    return value if _WHITESPACE.fullmatch(text, end) else _NO_VALUE


def _parse_at(text: str, start: int) -> tuple[Any, int]:
    """Return the value that begins there, and where it ends; memory must be able to store it."""
    begin = _WHITESPACE.match(text, start)
    assert begin is not None
    try:
        value, end = _DECODER.raw_decode(text, begin.end())
        codec.encode(value, _ADDRESS)  # which refuses what is too deep or too large
    except (ValueError, RecursionError, FibonacciError):
        return _NO_VALUE, start
    return value, end


class _Parts:
    """The JSON values that are parts of a text, by where they are."""

    def __init__(self, text: str) -> None:
        """Scan the text."""
        self.fenced: list[Any] = []
        """In fenced blocks."""
        self.objects: list[Any] = []
        """Objects between words, and lists that hold one."""
        self.lists: list[Any] = []
        """Other lists between words; empty if anything else is in brackets."""
        self._text = text
        self._skip_until = 0
        """Brackets before this position do not count: they are inside others that are no JSON."""
        self._has_invalid_brackets = False
        self._only_fenced = False
        """Nothing between words counts: what was meant is cut off, or an invalid block."""
        self._scan()

    def _scan(self) -> None:
        position, left = 0, MAX_PARTS
        while left and (part := self._next(position)) is not None:
            left -= 1
            position = self._bracket(part.start()) if part[0] in "[{" else self._fence(part)
        if not left:
            self.fenced = []
        if self._only_fenced or not left:
            self.objects = []
        if self._only_fenced or not left or self._has_invalid_brackets or self.objects:
            self.lists = []

    def _next(self, position: int) -> "re.Match[str] | None":
        if position < self._skip_until:
            fence = self._text.find("```", position, self._skip_until)
            position = self._skip_until if fence < 0 else fence
        return _PART.search(self._text, position)

    def _fence(self, start: "re.Match[str]") -> int:
        """Take the value in a fenced block; return where to go on."""
        value, end = _parse_at(self._text, start.end())
        close = _FENCE_END.match(self._text, end)
        if value is not _NO_VALUE and close is not None:  # its strings may hold fences, too
            self.fenced.append(value)
            return close.end()
        fence = self._text.find("```", start.end())
        if fence < 0:
            return start.end()  # it has no end: its content is scanned as between words
        self._only_fenced = self._only_fenced or start["json"] is not None
        return fence + 3

    def _bracket(self, start: int) -> int:
        """Take the value from this bracket to the one that closes it; return where to go on."""
        end = self._closing_bracket(start)
        if end is None:
            self._only_fenced, self._skip_until = True, len(self._text)
            return start + 1
        value = _parse_whole(self._text[start:end])
        if value is _NO_VALUE:
            self._has_invalid_brackets, self._skip_until = True, end
            return start + 1
        (self.objects if _holds_object(value) else self.lists).append(value)
        return end

    def _closing_bracket(self, start: int) -> int | None:
        depth = 0
        for token in _BRACKET.finditer(self._text, start):
            if token[0] in "[{":
                depth += 1
            elif token[0] in "]}":
                depth -= 1
            if not depth:
                return token.end()
            if depth > strict_json.MAX_DEPTH + 1:
                return None
        return None


def _holds_object(value: Any) -> bool:
    return isinstance(value, dict) or any(isinstance(item, dict) for item in value)


def compile_schema(schema: Mapping[str, Any]) -> Check:
    """Return the check of a JSON Schema; without ``$schema`` its dialect is draft 2020-12.

    Raises WorkflowValidationError if it is not a schema, or jsonschema is not installed.
    """
    validator = _validator(dict(schema))
    from referencing.exceptions import Unresolvable

    def check(value: Any) -> None:
        try:
            error = next(validator.iter_errors(value), None)
        except RecursionError:
            raise ModelError("output_schema refers to itself without end") from None
        except Unresolvable as reference:
            raise ModelError(
                f"output_schema refers to {reference.ref!r}, which is not in it"
            ) from None
        if error is not None:
            # Not its message: that quotes the completion.
            raise ModelError(
                f"the completion does not match output_schema: {_json_path(error)} violates "
                f"{error.validator!r}",
                retryable=True,
            )

    return check


def _json_path(error: "ValidationError") -> str:
    """Where in the value: names that the schema has, and ``*`` for all others."""
    known = set(error.absolute_schema_path)
    parts = (
        part if isinstance(part, int) or part in known else "*" for part in error.absolute_path
    )
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _validator(schema: dict[str, Any]) -> "Validator":
    try:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry
    except ModuleNotFoundError:
        raise WorkflowValidationError(
            "output_schema needs the package jsonschema. "
            "Install it: pip install 'fibonacci-core[schema]'"
        ) from None
    if not isinstance(schema.get("$schema", ""), str):  # jsonschema would raise anything
        raise WorkflowValidationError("output_schema is not a JSON Schema: $.$schema must be text")
    validator_class = validator_for(schema, default=Draft202012Validator)
    try:
        validator_class.check_schema(schema)
    except SchemaError as error:
        raise WorkflowValidationError(
            f"output_schema is not a JSON Schema: {error.json_path}: {error.message}"
        ) from None
    # An empty registry: the default one would fetch what a $ref points to.
    return validator_class(schema, registry=Registry())
