"""The events of a streamed run."""

from typing import Any, TypeAlias

import attrs

from fibonacci._memory.reads import MemoryKey
from fibonacci._workflow.result import ExecutionResult


@attrs.frozen
class NodeStarted:
    """A node starts: its dependencies have ended."""

    node_id: str


@attrs.frozen
class NodeText:
    """A delta of an LLM node's completion; joined, the deltas of an attempt are its whole text.

    With ``output_format="json"`` that is the JSON text.
    """

    node_id: str
    text: str = attrs.field(repr=False)
    """Never empty."""


@attrs.frozen
class NodeRetried:
    """An attempt failed, and another follows: discard the node's deltas so far."""

    node_id: str
    attempt: int
    """The number of the attempt that follows: 2, 3, …"""


@attrs.frozen
class NodeFinished:
    """A node has its output; it has not written any memory yet."""

    node_id: str
    output: Any = attrs.field(repr=False)


@attrs.frozen
class MemoryWritten:
    """A node has written its output to all records of its ``memory_write``."""

    node_id: str
    keys: tuple[MemoryKey, ...]
    """The records; their value is the node's output."""


@attrs.frozen
class WorkflowFinished:
    """All nodes have ended; this is always the last event."""

    result: ExecutionResult
    """What ``execute`` returns."""


Event: TypeAlias = (
    NodeStarted | NodeText | NodeRetried | NodeFinished | MemoryWritten | WorkflowFinished
)
"""What ``Workflow.stream`` and ``Workflow.astream`` yield."""
