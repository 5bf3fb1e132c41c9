"""The nodes of a workflow, as users write them; their fields are checked at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from fibonacci._memory.numbers import is_count, is_number
from fibonacci._memory.reads import ReadSpec
from fibonacci._workflow.history_spec import HistorySpec, parse_history
from fibonacci._workflow.memory_spec import RecordWrite, parse_reads, parse_writes
from fibonacci._workflow.retry import Retry, to_retry
from fibonacci._workflow.timeouts import TIMEOUT_RULE, is_timeout
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Model, ModelRequest

if TYPE_CHECKING:
    from fibonacci._workflow.context import NodeContext

RESERVED: Final = ("input", "memory")
"""Names that mean something else than a node in a template."""

OutputFormat = Literal["text", "json"]

_ID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@attrs.frozen
class LiteralText:
    """A text that is no template; :func:`literal` returns it."""

    text: str = attrs.field(repr=False)
    """What the model gets."""

    def __bool__(self) -> bool:
        """Return whether there is any text."""
        return bool(self.text)


def literal(text: str) -> LiteralText:
    """Return a ``prompt`` or ``system_prompt`` that is sent as it is, whatever braces it has.

    No engine reads it, so it takes no values. To put a text of yours into a part of a prompt, pass
    it as an input: values are never read as templates.

    Args:
        text: what the model gets.

    Raises WorkflowValidationError if ``text`` is not a ``str``.
    """
    if not isinstance(text, str):
        raise WorkflowValidationError(f"literal takes text, not {type(text).__name__}")
    return LiteralText(text)


def _check_id(_: Any, __: Any, value: Any) -> None:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise WorkflowValidationError(
            "a node's id must be letters, digits, '_' or '-', with no digit or '-' first"
        )
    if value in RESERVED:
        raise WorkflowValidationError(f"a node can't have the id {value!r}: templates use it")


def _check_text(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, str | LiteralText):
        raise _error(node, f"{attribute.name} must be text, not {type(value).__name__}")


def _check_optional_text(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None:
        _check_text(node, attribute, value)


def _check_model(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    _check_model_form(node, attribute.name, value)


def _check_model_form(node: Any, name: str, value: Any) -> None:
    if not (isinstance(value, Model) or callable(value) or (isinstance(value, str) and value)):
        raise _error(node, f"{name} must be a model's name, a function, or a Model")
    if isinstance(value, type) and issubclass(value, Model):
        raise _error(node, f"{name} is a class; pass an instance: {value.__name__}(...)")


def _check_history(node: Any, _: Any, value: HistorySpec | None) -> None:
    if value is not None and value.compact is not None:
        _check_model_form(node, "the model of the history's compact", value.compact.model)


def _check_function(node: Any, _: Any, value: Any) -> None:
    if not callable(value):
        raise _error(node, f"function must be a function, not {type(value).__name__}")


def _check_count(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not is_count(value):
        raise _error(node, f"{attribute.name} must be a whole number, 1 or more")


def _check_temperature(node: Any, _: Any, value: Any) -> None:
    if value is not None and not (is_number(value) and 0 <= value <= 2):
        raise _error(node, "temperature must be a number from 0 to 2, or None")


def _check_format(node: Any, _: Any, value: OutputFormat) -> None:
    if not isinstance(value, str) or value not in ("text", "json"):
        raise _error(node, "output_format must be 'text' or 'json'")


def _check_schema(node: Any, _: Any, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise _error(node, "output_schema must be a JSON Schema, as a dict")
    if node.output_format != "json":
        raise _error(node, 'output_schema needs output_format="json"')


def _check_timeout(node: Any, _: Any, value: Any) -> None:
    if not is_timeout(value):
        raise _error(node, f"timeout must be {TIMEOUT_RULE}")


def _check_names(node: Any, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not all(isinstance(name, str) and name for name in value):
        raise _error(node, f"{attribute.name} must be a list of non-empty texts")


def _as_tuple(value: Sequence[str]) -> Sequence[str]:
    """Return a sequence as a tuple, which nobody can change later; one text as a tuple of one."""
    return (value,) if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)


def _error(node: Any, message: str) -> WorkflowValidationError:
    return WorkflowValidationError(f"node {node.id!r}: {message}")


@attrs.frozen
class Node:
    """What LLMNode and FunctionNode have in common; for annotations.

    Args:
        id: the node's name in templates and in results: letters, digits, ``_`` and ``-``.
        dependencies: ids of nodes to wait for, besides those that its templates name.
        memory_read: what to read when the node starts; templates see no other memory. A list of
            keys, or of dicts with ``key``, and ``scope``, ``default`` or ``as``
            (``MemoryRead``). A key that is a template needs ``as``.
        memory_write: where to write the output once the node has succeeded: a key, a dict with
            ``key``, and ``scope``, ``ttl``, ``mode`` or ``max_items`` (``MemoryWrite``), or a
            list of them. Without a scope: to the run's user if it has one, else to the workflow.
        timeout: seconds for all attempts and the waits between them; None: only the workflow's.
        retry: how many attempts to make, or a ``Retry``; None: one.

    Raises WorkflowValidationError.
    """

    id: str = attrs.field(validator=_check_id)
    dependencies: Sequence[str] = attrs.field(
        default=(), converter=_as_tuple, validator=_check_names, kw_only=True
    )
    memory_read: Sequence[ReadSpec] = attrs.field(default=(), converter=parse_reads, kw_only=True)
    memory_write: Sequence[RecordWrite] = attrs.field(
        default=None, converter=parse_writes, kw_only=True
    )
    timeout: float | None = attrs.field(default=None, validator=_check_timeout, kw_only=True)
    retry: Retry = attrs.field(default=None, converter=to_retry, kw_only=True)


@attrs.frozen
class LLMNode(Node):
    """A node that sends a prompt to a model; its output is the completion.

    Args:
        id: the node's name in templates and in results: letters, digits, ``_`` and ``-``.
        model: ``claude-…``, ``provider:model`` or ``echo``; a ``Model``; or a function that
            takes the ModelRequest and returns text, or yields it in parts.
        prompt: the user's message: a template with ``{{input.x}}``, ``{{memory.key}}`` or
            ``{{node}}``; or ``literal(...)``.
        dependencies: ids of nodes to wait for, besides those that its templates name.
        memory_read: what to read when the node starts; templates see no other memory. A list of
            keys, or of dicts with ``key``, and ``scope``, ``default`` or ``as``
            (``MemoryRead``). A key that is a template needs ``as``.
        memory_write: where to write the output once the node has succeeded: a key, a dict with
            ``key``, and ``scope``, ``ttl``, ``mode`` or ``max_items`` (``MemoryWrite``), or a
            list of them. Without a scope: to the run's user if it has one, else to the workflow.
        timeout: seconds for all attempts and the waits between them; None: only the workflow's.
        retry: how many attempts to make, or a ``Retry``; None: one.
        system_prompt: instructions for the model about its role: a template or ``literal(...)``,
            too; None: no system message.
        max_tokens: the most tokens that the completion may have.
        temperature: the sampling temperature, from 0 to 2; None: the provider's default.
        stop: texts at which the completion ends; it does not include them.
        output_format: "text" or "json". With "json" the output is the JSON value in the
            completion, and the attempt fails if there is none.
        output_schema: a JSON Schema for ``output_format="json"``; the attempt fails if the value
            does not match it. None: any value.
        history: the conversation that the node continues: the key of a ``memory.history``, or a
            dict with ``key``, and ``scope``, ``max_tokens``, ``max_turns``, ``record`` or
            ``compact`` (``NodeHistory``). The model is sent its newest turns before the prompt;
            after the node has succeeded, prompt and completion are added as one turn. Without a
            scope, it is that of the run's user. None: the model is sent the prompt only.

    Raises WorkflowValidationError.
    """

    model: "str | Model | Callable[[ModelRequest], Any]" = attrs.field(validator=_check_model)
    prompt: str | LiteralText = attrs.field(validator=_check_text, repr=False)
    system_prompt: str | LiteralText | None = attrs.field(
        default=None, validator=_check_optional_text, kw_only=True, repr=False
    )
    max_tokens: int = attrs.field(default=1024, validator=_check_count, kw_only=True)
    temperature: float | None = attrs.field(
        default=None, validator=_check_temperature, kw_only=True
    )
    stop: Sequence[str] = attrs.field(
        default=(), converter=_as_tuple, validator=_check_names, kw_only=True
    )
    output_format: OutputFormat = attrs.field(default="text", validator=_check_format, kw_only=True)
    output_schema: Mapping[str, Any] | None = attrs.field(
        default=None, validator=_check_schema, kw_only=True, hash=False, repr=False
    )
    history: HistorySpec | None = attrs.field(
        default=None, converter=parse_history, validator=_check_history, kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        # Adding text to a number would fail after the model was paid.
        if self.output_format == "text" and any(
            write.mode == "increment" for write in self.memory_write
        ):
            raise _error(self, 'memory_write mode "increment" needs output_format="json"')


@attrs.frozen
class FunctionNode(Node):
    """A node that calls a function; its output is what the function returns.

    An async function needs ``aexecute``. A sync one that exceeds the node's timeout goes on in its
    thread, as no thread can be stopped; its result is dropped.

    Args:
        id: the node's name in templates and in results: letters, digits, ``_`` and ``-``.
        function: takes a ``NodeContext`` and returns the output; sync or async.
        dependencies: ids of nodes to wait for, besides those that its templates name.
        memory_read: what to read when the node starts; templates see no other memory. A list of
            keys, or of dicts with ``key``, and ``scope``, ``default`` or ``as``
            (``MemoryRead``). A key that is a template needs ``as``.
        memory_write: where to write the output once the node has succeeded: a key, a dict with
            ``key``, and ``scope``, ``ttl``, ``mode`` or ``max_items`` (``MemoryWrite``), or a
            list of them. Without a scope: to the run's user if it has one, else to the workflow.
        timeout: seconds for all attempts and the waits between them; None: only the workflow's.
        retry: how many attempts to make, or a ``Retry``; None: one.

    Raises WorkflowValidationError.
    """

    function: "Callable[[NodeContext], Any]" = attrs.field(validator=_check_function)
