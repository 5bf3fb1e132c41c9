"""One run of a workflow: what came in, whom it is for, and how far it is."""

from collections.abc import Collection, Mapping, Sequence
from time import monotonic, time
from typing import Any

import attrs

from fibonacci._memory.manager import MemoryManager, RunMemory
from fibonacci._memory.reads import ReadResult, ReadSpec, Spaces
from fibonacci._workflow.channel import Channel
from fibonacci._workflow.reads import Reads
from fibonacci._workflow.result import Record
from fibonacci._workflow.voice import Abandoned, Voice
from fibonacci.plugin.models import Model


@attrs.define(kw_only=True, eq=False)
class Run:
    """One run; shared by its strands, which may be in several threads."""

    voice: Voice
    store: MemoryManager
    spaces: Spaces
    inputs: Mapping[str, Any]
    nodes: Collection[str]
    """The ids of all nodes."""
    models: Mapping[str, Model]
    """Of each node that asks one."""
    reads: Mapping[str, Reads]
    """What each node reads."""
    timeout: float | None
    """Seconds that the run may take."""
    channel: Channel | None = None
    """To whoever follows it, if anybody does."""
    outputs: dict[str, Any] = attrs.field(factory=dict)
    records: dict[str, Record] = attrs.field(factory=dict)
    abandoned: bool = False
    """Nobody waits for it any more: no node starts, and no memory is written."""
    began: float = attrs.field(factory=monotonic)
    began_at: float = attrs.field(factory=time)
    """Seconds since the epoch."""
    deadline: float | None = attrs.field(init=False)
    """When it has to end, on the monotonic clock."""
    _memory: RunMemory | None = None

    def __attrs_post_init__(self) -> None:
        self.deadline = None if self.timeout is None else self.began + self.timeout

    def until(self, timeout: float | None) -> float | None:
        """Return when what starts now and may take so long has to end: with the run at latest."""
        if timeout is None:
            return self.deadline
        own = monotonic() + timeout
        return own if self.deadline is None else min(own, self.deadline)

    def check(self) -> None:
        """Raise Abandoned, or what is meant for the run's caller, where nothing may go on."""
        if self.abandoned or (self.channel is not None and self.channel.is_closed):
            raise Abandoned
        self.voice.check()

    def is_overdue(self) -> bool:
        """Say whether the run's own time is over."""
        return self.deadline is not None and monotonic() >= self.deadline

    def namespace(self, recalled: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the templates of a node may ask for."""
        return {**self.outputs, "input": self.inputs, "memory": recalled}

    def memory(self) -> RunMemory:
        """Return the memory bound to this run."""
        if self._memory is None:
            self._memory = self.store._for_run(self.spaces)
        return self._memory

    async def recall(self, wanted: Sequence[ReadSpec], deadline: float | None) -> ReadResult:
        """Read what a node wants from memory, in one request."""
        return await self.store._read_specs(
            wanted, self.spaces, deadline=deadline, is_sync=self.voice.plainly
        )

    def end(self, node_id: str, record: Record) -> None:
        """Note that a node has come to its end."""
        self.records[node_id] = record
        self.outputs[node_id] = record.output
