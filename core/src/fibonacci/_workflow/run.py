"""WorkflowRun: the state of one execution, which its workers share."""

from collections.abc import Collection, Mapping
from time import monotonic, time
from typing import Any

import attrs

from fibonacci._memory.manager import MemoryManager, RunMemory
from fibonacci._memory.reads import MemoryKey, Spaces, default_scope
from fibonacci._workflow.result import NodeOutcome
from fibonacci._workflow.runtime import RunCancelled, Runtime
from fibonacci._workflow.streaming import Channel
from fibonacci._workflow.timeouts import has_passed
from fibonacci.plugin.address import Scope
from fibonacci.plugin.models import Model


@attrs.define(kw_only=True, eq=False)
class WorkflowRun:
    """One execution of a workflow; its workers may be in several threads."""

    runtime: Runtime
    manager: MemoryManager
    spaces: Spaces
    inputs: Mapping[str, Any]
    node_ids: Collection[str]
    models: Mapping[str, Model]
    """The model of each LLMNode, by the node's id."""
    timeout: float | None
    """Seconds that the run may take."""
    channel: Channel | None = None
    """To the reader of a stream, if there is one."""
    outputs: dict[str, Any] = attrs.field(factory=dict)
    outcomes: dict[str, NodeOutcome] = attrs.field(factory=dict)
    is_cancelled: bool = False
    """The caller has left: no node starts, and no memory is written."""
    deadline: float | None = attrs.field(init=False)
    """When it has to end, on the monotonic clock."""
    clock_offset: float = attrs.field(init=False)
    """Seconds that the wall clock is ahead of the monotonic one."""
    _memory: RunMemory | None = None

    def __attrs_post_init__(self) -> None:
        start = monotonic()
        self.deadline = None if self.timeout is None else start + self.timeout
        self.clock_offset = time() - start

    def raise_if_cancelled(self) -> None:
        """Raise RunCancelled, or the pending cancellation of the run's caller."""
        if self.is_cancelled or (self.channel is not None and self.channel.is_closed):
            raise RunCancelled
        self.runtime.raise_pending_cancellation()

    def is_overdue(self) -> bool:
        """Return whether the run's own deadline has passed."""
        return has_passed(self.deadline)

    def namespace(self, memory_values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the templates of a node may reference."""
        return {**self.outputs, "input": self.inputs, "memory": memory_values}

    def memory(self) -> RunMemory:
        """Return the memory bound to this run."""
        if self._memory is None:
            self._memory = self.manager._for_run(self.spaces)
        return self._memory

    def async_memory(self) -> RunMemory:
        """Return the memory whose async methods this run's runtime can await."""
        return self.memory()._for_runtime(is_sync=self.runtime.is_sync)

    def resolve_key(self, scope: Scope | None, key: str) -> MemoryKey:
        """Return the record of a key; without a scope, that of the user, or of the workflow.

        Raises InvalidKeyError or ScopeError.
        """
        scope = scope or default_scope(self.spaces)
        self.memory()._check_key(scope, key)
        return MemoryKey(scope, key)

    def record_outcome(self, node_id: str, outcome: NodeOutcome) -> None:
        """Store the outcome of a node that has succeeded."""
        self.outcomes[node_id] = outcome
        self.outputs[node_id] = outcome.output
