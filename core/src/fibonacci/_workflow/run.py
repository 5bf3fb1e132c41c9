"""WorkflowRun: the state of one execution, which its workers share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from os import urandom
from time import monotonic, time
from typing import Any

import attrs

from fibonacci._memory.history.history import History
from fibonacci._memory.manager import MemoryManager, RunMemory
from fibonacci._memory.reads import MemoryKey, Spaces, default_scope
from fibonacci._workflow.events import Event
from fibonacci._workflow.result import CompactionTrace, NodeOutcome, total_usage
from fibonacci._workflow.runtime import RunCancelled, Runtime
from fibonacci._workflow.timeouts import has_passed
from fibonacci.plugin._runtime.waiters import Waiter
from fibonacci.plugin.address import Scope
from fibonacci.plugin.models import Model, Usage


class RunChannel(ABC):
    """Hands the events of one run to a reader."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether the reader has left: no node starts, is retried, or begins to write."""

    @property
    @abstractmethod
    def waiter(self) -> type[Waiter]:
        """What waits for the reader, in a thread or a task."""

    @abstractmethod
    async def emit(
        self,
        event: Event,
        deadline: float | None = None,
        model_stream_closed: Waiter | None = None,
    ) -> None:
        """Hand an event to the reader, and wait until it requests the next one.

        Raises RunCancelled if the reader leaves, and NodeDeadlineExceeded.
        """

    @abstractmethod
    def writing(self) -> AbstractContextManager[None]:
        """Let the end of the stream wait for the end of these memory writes."""


@attrs.define(eq=False)
class OuterNode:
    """A node whose function is called: what it executes by its context is nested in it."""

    run: "WorkflowRun"
    node_id: str
    is_over: bool = False
    """The call has ended, whatever it has left behind in threads and tasks."""
    was_abandoned: bool = False
    """Nobody waits for the call any more: its nested runs stop."""


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
    summary_models: Mapping[str, Model]
    """Those that summarize the histories of nodes, by the node's id."""
    timeout: float | None
    """Seconds that the run may take."""
    channel: RunChannel | None = None
    """To the reader of a stream, if there is one."""
    outputs: dict[str, Any] = attrs.field(factory=dict)
    outcomes: dict[str, NodeOutcome] = attrs.field(factory=dict)
    failed: dict[str, NodeOutcome] = attrs.field(factory=dict)
    """How nodes ran that failed; without an output."""
    unwritten: dict[str, Any] = attrs.field(factory=dict)
    """The outputs of nodes that began to write memory."""
    compactions: dict[str, CompactionTrace] = attrs.field(factory=dict)
    """How the histories of nodes were summarized, by the node's id."""
    heads: set[MemoryKey] = attrs.field(factory=set)
    """The heads of the histories of nodes, as far as they are known: no node may write there."""
    has_failed: bool = False
    """A node has failed: no other starts."""
    interruption: BaseException | None = None
    """What a model that summarized has raised, if it was no Exception: the run raises it."""
    is_cancelled: bool = False
    """The caller has left: no node starts, and no memory is written."""
    nested: dict[str, list["WorkflowRun"]] = attrs.field(factory=dict)
    """The runs that are nested in each node."""
    outer: "OuterNode | None" = None
    """The node that it is nested in."""
    id: str = attrs.field(init=False, factory=lambda: urandom(8).hex())
    """Random: it names the run in requests to models and in the result."""
    deadline: float | None = attrs.field(init=False)
    """When it has to end, on the monotonic clock."""
    clock_offset: float = attrs.field(init=False)
    """Seconds that the wall clock is ahead of the monotonic one."""
    _memory: RunMemory | None = None

    def __attrs_post_init__(self) -> None:
        start = monotonic()
        self.deadline = None if self.timeout is None else start + self.timeout
        self.clock_offset = time() - start

    @property
    def user_id(self) -> str | None:
        """Whose run it is."""
        user = self.spaces.get("user")
        return user and user.owner

    def raise_if_cancelled(self) -> None:
        """Raise RunCancelled, or the pending cancellation of the run's caller."""
        if self.is_cancelled or (self.channel is not None and self.channel.is_closed):
            raise RunCancelled
        if self.outer is not None and self.outer.was_abandoned:
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

    def history(self, record: MemoryKey) -> History:
        """Return the history with this head; its async methods can be awaited by the runtime."""
        self.heads.add(record)
        history = self.memory().history(record.key, record.scope)
        return history._sync_view if self.runtime.is_sync else history

    def resolve_key(self, scope: Scope | None, key: str) -> MemoryKey:
        """Return the record of a key; without a scope, that of the user, or of the workflow.

        Raises InvalidKeyError or ScopeError.
        """
        scope = scope or default_scope(self.spaces)
        self.memory()._check_key(scope, key)
        return MemoryKey(scope, key)

    def with_nested_usage(self, node_id: str, usage: Usage) -> Usage:
        """Return these tokens, and those so far of the runs that are nested in a node."""
        return sum((run.usage() for run in self.nested.get(node_id, ())), usage)

    def usage(self) -> Usage:
        """Return the tokens so far: of nodes that have ended, and of summaries."""
        return total_usage(
            *self.outcomes.values(), *self.failed.values(), *self.compactions.values()
        )

    def record_outcome(self, node_id: str, outcome: NodeOutcome) -> None:
        """Store the outcome of a node that has succeeded."""
        self.outcomes[node_id] = outcome
        self.outputs[node_id] = outcome.output
