"""One run of a workflow: what came in, whom it is for, and how far it is."""

from collections.abc import Mapping
from time import monotonic, time
from typing import Any

import attrs

from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.recall import Recalled, Spaces, Wanted
from fibonacci._memory.runs import RunMemory, bound, recalled
from fibonacci._workflow.result import NodeTrace
from fibonacci._workflow.voice import Voice
from fibonacci.plugin.models import Model


@attrs.define(kw_only=True, eq=False)
class Run:
    """One run; shared by its strands, which may be in several threads."""

    voice: Voice
    store: MemoryManager
    spaces: Spaces
    inputs: Mapping[str, Any]
    models: Mapping[str, Model]
    """Of each node that asks one."""
    timeout: float | None
    """Seconds that the run may take."""
    outputs: dict[str, Any] = attrs.field(factory=dict)
    traces: dict[str, NodeTrace] = attrs.field(factory=dict)
    abandoned: bool = False
    """Nobody waits for it any more: no node starts, and no memory is written."""
    began: float = attrs.field(factory=monotonic)
    _began_at: float = attrs.field(factory=time)
    _memory: RunMemory | None = None

    @property
    def deadline(self) -> float | None:
        """When the run has to end, on the monotonic clock."""
        return None if self.timeout is None else self.began + self.timeout

    def until(self, timeout: float | None) -> float | None:
        """Return when what starts now and may take so long has to end: with the run at latest."""
        own = None if timeout is None else monotonic() + timeout
        ends = [one for one in (own, self.deadline) if one is not None]
        return min(ends, default=None)

    def is_overdue(self) -> bool:
        """Say whether the run's own time is over."""
        return self.deadline is not None and monotonic() >= self.deadline

    def wall_clock(self, moment: float) -> float:
        """Return a reading of the monotonic clock in seconds since the epoch."""
        return self._began_at + (moment - self.began)

    def memory(self) -> RunMemory:
        """Return the memory bound to this run."""
        if self._memory is None:
            self._memory = bound(self.store, self.spaces)
        return self._memory

    async def recall(self, wanted: tuple[Wanted, ...], deadline: float | None) -> Recalled:
        """Read what a node wants from memory, in one request."""
        if not wanted:
            return Recalled({}, ())
        return await recalled(
            self.store, wanted, self.spaces, deadline=deadline, plainly=self.voice.plainly
        )
