"""What an execution returns: outputs by node, how it went, and what it cost."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from fibonacci._memory.reads import MemoryKey
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


class Record(NamedTuple):
    """What a run notes of a node that has come to its end."""

    output: Any
    usage: Usage
    start: float
    """As all moments here, a reading of the monotonic clock, in seconds."""
    end: float
    attempts: int
    read: tuple[MemoryKey, ...]
    written: tuple[MemoryKey, ...]


class ExecutionResult(Mapping[str, Any]):
    """Outputs by node id: text, or what a function returned or an answer in JSON held."""

    __slots__ = ("_clock", "_records")

    def __init__(self, records: Mapping[str, Record], clock: float) -> None:
        """Made by a workflow; ``clock`` is what the wall clock is ahead of the monotonic one."""
        self._records = records
        self._clock = clock

    @property
    def trace(self) -> dict[str, NodeTrace]:
        """How each node went, by its id."""
        return {
            node_id: NodeTrace(
                node_id=node_id,
                start=one.start + self._clock,
                end=one.end + self._clock,
                attempts=one.attempts,
                read=one.read,
                written=one.written,
                usage=one.usage,
            )
            for node_id, one in self._records.items()
        }

    @property
    def usage(self) -> Usage:
        """Tokens of all nodes together."""
        return sum((one.usage for one in self._records.values()), Usage())

    def __getitem__(self, node_id: str) -> Any:
        """Return the output of a node."""
        return self._records[node_id].output

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids, in the order in which the nodes were added."""
        return iter(self._records)

    def __len__(self) -> int:
        """How many nodes there were."""
        return len(self._records)

    def __repr__(self) -> str:
        """The ids alone: outputs may hold what a log should not."""
        return f"<ExecutionResult of {', '.join(self._records) or 'no nodes'}>"
