"""ExecutionResult: the outputs of a run by node, its trace and its usage."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import attrs

from fibonacci._memory.reads import MemoryKey
from fibonacci.plugin.models import StopReason, Usage

NO_USAGE: Final = Usage()


@attrs.frozen(kw_only=True)
class CompactionTrace:
    """How the history of a node was summarized, after its turn was added.

    Attributes:
        stored: whether a summary was stored.
        usage: tokens of the model that summarizes; not part of the node's own.
        error: why no summary was stored, or not the last one; None: nothing failed.
    """

    stored: bool
    usage: Usage
    error: str | None


@attrs.frozen(kw_only=True)
class NodeTrace:
    """How one node ran; it holds no value of memory, no prompt and no completion.

    Attributes:
        node_id: the node's id.
        start: seconds since the epoch (``time.time()``).
        end: seconds since the epoch; with ``start``, measured on a clock that is never set back.
        attempts: how many attempts it took; the last one succeeded, unless the node failed.
        read: the records that were found for its ``memory_read``, and its history's.
        written: the records that its ``memory_write`` wrote, and its history's.
        usage: tokens of all attempts, as far as they are known; of a FunctionNode, those of the
            workflows that its function has executed by its context.
        compaction: how its history was summarized; None: it did not have to be.
        model: the name of its model, as the provider says, or else as the node has it; None for a
            FunctionNode, and if no attempt succeeded.
        stop_reason: why the completion ended: "end", "stop" for a text of ``stop``, "max_tokens" if
            it was cut off there; None if that is not known.
    """

    node_id: str
    start: float
    end: float
    attempts: int
    read: tuple[MemoryKey, ...]
    written: tuple[MemoryKey, ...]
    usage: Usage
    compaction: CompactionTrace | None = None
    model: str | None = None
    stop_reason: StopReason | None = None


class NodeOutcome(NamedTuple):
    """What a run records of a node that has ended."""

    output: Any
    usage: Usage
    start: float
    """Like ``end``, a reading of the monotonic clock, in seconds."""
    end: float
    attempts: int
    read: tuple[MemoryKey, ...]
    written: tuple[MemoryKey, ...]
    model: str | None
    stop_reason: StopReason | None


def total_usage(*parts: NodeOutcome | CompactionTrace) -> Usage:
    """Return the tokens of all parts together."""
    return sum((part.usage for part in parts), NO_USAGE)


class ExecutionResult(Mapping[str, Any]):
    """Outputs by node id: text, the JSON value of a completion, or what a function returned.

    A read-only mapping: ``result["summarize"]`` is the output of that node. Its ``repr`` has only
    the ids.

    Attributes:
        run_id: names the run: 16 random characters, as in each ModelRequest of the run.
    """

    __slots__ = ("_clock_offset", "_compactions", "_outcomes", "run_id")

    def __init__(
        self,
        run_id: str,
        outcomes: Mapping[str, NodeOutcome],
        clock_offset: float,
        compactions: Mapping[str, CompactionTrace],
    ) -> None:
        """``clock_offset``: seconds that the wall clock is ahead of the monotonic one."""
        self.run_id = run_id
        self._outcomes = outcomes
        self._compactions = compactions
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
                compaction=self._compactions.get(node_id),
                model=outcome.model,
                stop_reason=outcome.stop_reason,
            )
            for node_id, outcome in self._outcomes.items()
        }

    @property
    def usage(self) -> Usage:
        """Tokens of all nodes together, and of the summaries of their histories."""
        return total_usage(*self._outcomes.values(), *self._compactions.values())

    @property
    def truncated(self) -> tuple[str, ...]:
        """The ids of the nodes whose completions were cut off at their ``max_tokens``."""
        return tuple(
            node_id
            for node_id, outcome in self._outcomes.items()
            if outcome.stop_reason == "max_tokens"
        )

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
