"""The nodes of a workflow: what users write, checked when it is written."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from fibonacci._memory.reads import ReadSpec
from fibonacci._workflow import fields
from fibonacci._workflow.literal import LiteralText
from fibonacci._workflow.memory_use import RecordWrite, reads, writes
from fibonacci._workflow.retry import Retry, checked_retry
from fibonacci.plugin.models import Model, ModelRequest

if TYPE_CHECKING:
    from fibonacci._workflow.context import NodeContext


@attrs.frozen
class Node:
    """What an LLMNode and a FunctionNode have in common: either is one, for annotations."""

    id: str = attrs.field(validator=fields.check_id)
    """Its name: results have its output under it, and templates call it so."""
    dependencies: Sequence[str] = attrs.field(
        default=(), converter=fields.several, validator=fields.check_names, kw_only=True
    )
    """Ids of nodes to wait for, besides those that its templates name."""
    memory_read: Sequence[ReadSpec] = attrs.field(default=(), converter=reads, kw_only=True)
    """What to read when it starts, and nothing else reaches it: keys, or dicts with ``key``, and
    ``scope``, ``default`` or ``as``. A key that is a template needs ``as``."""
    memory_write: Sequence[RecordWrite] = attrs.field(default=None, converter=writes, kw_only=True)
    """Where to write the output, once it has succeeded: a key, a dict with ``key``, and ``scope``,
    ``ttl``, ``mode`` or ``max_items``, or a list of them. Without a scope: to the run's user where
    it has one, else to the workflow."""
    timeout: float | None = attrs.field(default=None, validator=fields.check_timeout, kw_only=True)
    """Seconds for all its attempts and the pauses between them; None: no limit of its own."""
    retry: Retry = attrs.field(default=None, converter=checked_retry, kw_only=True)
    """How many attempts, or a Retry; None: one."""


@attrs.frozen
class LLMNode(Node):
    """A node that asks a model; its output is the answer. Raises WorkflowValidationError."""

    model: "str | Model | Callable[[ModelRequest], Any]" = attrs.field(validator=fields.check_model)
    """``claude-…``, ``provider:model`` or ``echo``; a Model; or a function that takes the
    ModelRequest and returns text."""
    prompt: str | LiteralText = attrs.field(validator=fields.check_text, repr=False)
    """A template: ``{{input.x}}``, ``{{memory.key}}``, ``{{node}}``; or ``literal(...)``."""
    system_prompt: str | LiteralText | None = attrs.field(
        default=None, validator=fields.check_optional_text, kw_only=True, repr=False
    )
    """What the model is told about its part; a template, or ``literal(...)``, too."""
    max_tokens: int = attrs.field(default=1024, validator=fields.check_count, kw_only=True)
    """Tokens that the answer may have."""
    temperature: float | None = attrs.field(
        default=None, validator=fields.check_temperature, kw_only=True
    )
    """From 0 to 2; None: as the provider chooses."""
    stop: Sequence[str] = attrs.field(
        default=(), converter=fields.several, validator=fields.check_names, kw_only=True
    )
    """Texts at which the answer ends; they are no part of it."""
    output_format: fields.OutputFormat = attrs.field(
        default="text", validator=fields.check_format, kw_only=True
    )
    """``"json"``: the output is the JSON value that the answer holds; without one the attempt
    fails."""
    output_schema: Mapping[str, Any] | None = attrs.field(
        default=None, validator=fields.check_schema, kw_only=True, hash=False, repr=False
    )
    """A JSON Schema; an answer that does not fit it fails the attempt."""

    def __attrs_post_init__(self) -> None:
        fields.check_increments(self)


@attrs.frozen
class FunctionNode(Node):
    """A node that calls a function; its output is what that returns.

    An async function needs ``aexecute``. A plain one that misses the node's timeout goes on in its
    thread, as no thread can be stopped; what it returns is dropped. Raises
    WorkflowValidationError.
    """

    function: "Callable[[NodeContext], Any]" = attrs.field(validator=fields.check_function)
    """Takes a NodeContext."""
