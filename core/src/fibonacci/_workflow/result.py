"""ExecutionResult: the outputs of a run by node, its trace and its usage."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import attrs

from fibonacci._memory.reads import MemoryKey
from fibonacci.plugin.models import Usage


@attrs.frozen(kw_only=True)
class NodeTrace:
    """How one node ran; it holds no value of memory, no prompt and no completion.

    Attributes:
        node_id: the node's id.
        start: seconds since the epoch (``time.time()``).
        end: seconds since the epoch; with ``start``, measured on a clock that is never set back.
        attempts: how many attempts it took; the last one succeeded.
        read: the records that were found for its ``memory_read``.
        written: the records that its ``memory_write`` wrote.
        usage: tokens of the attempt that succeeded.
    """

    node_id: str
    start: float
    end: float
    attempts: int
    read: tuple[MemoryKey, ...]
    written: tuple[MemoryKey, ...]
    usage: Usage


class NodeOutcome(NamedTuple):
    """What a run records of a node that has succeeded."""

    output: Any
    usage: Usage
    start: float
    """Like ``end``, a reading of the monotonic clock, in seconds."""
    end: float
    attempts: int
    read: tuple[MemoryKey, ...]
    written: tuple[MemoryKey, ...]


class ExecutionResult(Mapping[str, Any]):
    """Outputs by node id: text, the JSON value of a completion, or what a function returned.

    A read-only mapping: ``result["summarize"]`` is the output of that node. Its ``repr`` has only
    the ids.
    """

    __slots__ = ("_clock_offset", "_outcomes")

    def __init__(self, outcomes: Mapping[str, NodeOutcome], clock_offset: float) -> None:
        """``clock_offset``: seconds that the wall clock is ahead of the monotonic one."""
        self._outcomes = outcomes
        self._clock_offset = clock_offset

    @property
    def trace(self) -> dict[str, NodeTrace]:
        """How each node ran, by its id."""
        return {
            node_id: NodeTrace(
                node_id=node_id,
                start=outcome.start + self._clock_offset,
                end=outcome.end + self._clock_offset,
                attempts=outcome.attempts,
                read=outcome.read,
                written=outcome.written,
                usage=outcome.usage,
            )
            for node_id, outcome in self._outcomes.items()
        }

    @property
    def usage(self) -> Usage:
        """Tokens of all nodes together."""
        return sum((outcome.usage for outcome in self._outcomes.values()), Usage())

    def __getitem__(self, node_id: str) -> Any:
        """Return the output of a node."""
        return self._outcomes[node_id].output

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids, in the order in which the nodes were added."""
        return iter(self._outcomes)

    def __len__(self) -> int:
        """Return how many nodes there are."""
        return len(self._outcomes)

    def __repr__(self) -> str:
        """Only the ids: outputs may hold what must not be logged."""
        return f"<ExecutionResult of {', '.join(self._outcomes) or 'no nodes'}>"
