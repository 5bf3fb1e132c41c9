"""What a streamed run tells, in the order in which it happens."""

from typing import Any, TypeAlias

import attrs

from fibonacci._memory.reads import MemoryKey
from fibonacci._workflow.result import ExecutionResult


@attrs.frozen
class NodeStarted:
    """A node starts: what it waited for has ended."""

    node_id: str


@attrs.frozen
class NodeText:
    """A piece of an LLM node's answer; joined, the pieces of an attempt are the whole answer.

    With ``output_format="json"`` they are the JSON's text.
    """

    node_id: str
    text: str = attrs.field(repr=False)
    """Never empty."""


@attrs.frozen
class NodeRetried:
    """An attempt failed, and another follows: the node's pieces so far are void."""

    node_id: str
    attempt: int
    """Which attempt follows: 2, 3, …"""


@attrs.frozen
class NodeFinished:
    """A node has its output; it has written nothing yet."""

    node_id: str
    output: Any = attrs.field(repr=False)


@attrs.frozen
class MemoryWritten:
    """A node wrote its output, to all that its ``memory_write`` names."""

    node_id: str
    keys: tuple[MemoryKey, ...]
    """Where; the value is the node's output."""


@attrs.frozen
class WorkflowFinished:
    """All nodes have ended; always the last event."""

    result: ExecutionResult
    """What ``execute`` returns."""


Event: TypeAlias = (
    NodeStarted | NodeText | NodeRetried | NodeFinished | MemoryWritten | WorkflowFinished
)
"""What ``Workflow.stream`` and ``Workflow.astream`` yield."""
