"""What an execution returns: outputs by node, how it went, and what it cost."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from fibonacci._memory.recall import MemoryKey
from fibonacci.plugin.models import Usage


@attrs.frozen(kw_only=True)
class NodeTrace:
    """How one node went; no value of memory, no prompt and no answer is in it."""

    node_id: str
    start: float
    """Seconds since the epoch (``time.time()``)."""
    end: float
    """Seconds since the epoch; with ``start``, measured on a clock that is never set back."""
    attempts: int
    """How often it was tried, the last time with success."""
    read: tuple[MemoryKey, ...]
    """The records that were found for its ``memory_read``."""
    written: tuple[MemoryKey, ...]
    """The records that its ``memory_write`` wrote."""
    usage: Usage
    """Tokens of the attempt that succeeded."""


class ExecutionResult(Mapping[str, Any]):
    """Outputs by node id: text, or what a function returned or an answer in JSON held."""

    __slots__ = ("_outputs", "trace")

    def __init__(self, outputs: Mapping[str, Any], trace: Mapping[str, NodeTrace]) -> None:
        """Made by a workflow."""
        self._outputs = outputs
        self.trace = trace
        """How each node went, by its id."""

    @property
    def usage(self) -> Usage:
        """Tokens of all nodes together."""
        return sum((one.usage for one in self.trace.values()), Usage())

    def __getitem__(self, node_id: str) -> Any:
        """Return the output of a node."""
        return self._outputs[node_id]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids, in the order in which the nodes were added."""
        return iter(self._outputs)

    def __len__(self) -> int:
        """How many nodes there were."""
        return len(self._outputs)

    def __repr__(self) -> str:
        """The ids alone: outputs may hold what a log should not."""
        return f"<ExecutionResult of {', '.join(self._outputs) or 'no nodes'}>"
