"""The events of a streamed run."""

from typing import Any, TypeAlias

import attrs

from fibonacci._memory.reads import MemoryKey
from fibonacci._workflow.result import ExecutionResult
from fibonacci.plugin.models import StopReason


@attrs.frozen
class NodeStarted:
    """A node starts: its dependencies have ended.

    Attributes:
        node_id: the node's id.
    """

    node_id: str


@attrs.frozen
class NodeText:
    """A delta of an LLM node's completion; joined, the deltas of an attempt are its whole text.

    With ``output_format="json"`` that is the JSON text.

    Attributes:
        node_id: the node's id.
        text: the delta; never empty.
    """

    node_id: str
    text: str = attrs.field(repr=False)


@attrs.frozen
class NodeRetried:
    """An attempt failed, and another follows: discard the node's deltas so far.

    Attributes:
        node_id: the node's id.
        attempt: the number of the attempt that follows: 2, 3, …
    """

    node_id: str
    attempt: int


@attrs.frozen
class NodeFinished:
    """A node has its output; it has not written any memory yet.

    Attributes:
        node_id: the node's id.
        output: the node's output, as the result of the run will have it.
        model: the name of its model, as ``NodeTrace`` has it; not compared.
        stop_reason: why the completion ended, as ``NodeTrace`` has it; not compared.
    """

    node_id: str
    output: Any = attrs.field(repr=False)
    model: str | None = attrs.field(default=None, eq=False)
    stop_reason: StopReason | None = attrs.field(default=None, eq=False)


@attrs.frozen
class NodeFailed:
    """A node has failed, after all its attempts; no further node runs, and then the run raises.

    Attributes:
        node_id: the node's id.
        error: what it raised: the ``cause`` of the run's error, if it was the first to fail.
    """

    node_id: str
    error: BaseException = attrs.field(repr=False)


@attrs.frozen
class MemoryWritten:
    """A node has written its output to all records of its ``memory_write``.

    Attributes:
        node_id: the node's id.
        keys: the records.
    """

    node_id: str
    keys: tuple[MemoryKey, ...]


@attrs.frozen
class NestedEvent:
    """An event of a run that a node's function has started, by ``ctx.execute`` or ``ctx.aexecute``.

    Attributes:
        node_id: the node of the outer run, the one that is read.
        event: an event of the nested run: any but WorkflowFinished. It may be a NestedEvent itself.
        run_id: the nested run: a function may start several at once. Not compared.
    """

    node_id: str
    event: "Event"
    run_id: str = attrs.field(default="", eq=False)


@attrs.frozen
class WorkflowFinished:
    """All nodes have ended; this is always the last event.

    Attributes:
        result: what ``execute`` returns.
    """

    result: ExecutionResult


Event: TypeAlias = (
    NodeStarted
    | NodeText
    | NodeRetried
    | NodeFinished
    | NodeFailed
    | MemoryWritten
    | NestedEvent
    | WorkflowFinished
)
"""What ``Workflow.stream`` and ``Workflow.astream`` yield."""
