"""Runs within a function of another run's node: their tokens and events reach the outer run."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from fibonacci._workflow.events import Event, NestedEvent
from fibonacci._workflow.run import RunChannel, WorkflowRun
from fibonacci._workflow.runtime import RunCancelled, Runtime
from fibonacci.plugin._runtime.waiters import Waiter

_outer_node: Final[ContextVar["OuterNode | None"]] = ContextVar("fibonacci_node", default=None)


class OuterNode(NamedTuple):
    """A node whose function is being called; what it runs is nested in it."""

    run: WorkflowRun
    node_id: str

    def channel(self, runtime: Runtime) -> "NestedChannel | None":
        """Return the channel of a nested run; None if it can't reach the outer one's reader."""
        channel = self.run.channel
        if channel is None or runtime.event_loop is not self.run.runtime.event_loop:
            return None
        return NestedChannel(self.run, channel, self.node_id)


def outer_node() -> OuterNode | None:
    """Return the node within which this is called, if its run goes on in this process."""
    outer = _outer_node.get()
    if outer is None or outer.run.is_over or outer.run.runtime.process != os.getpid():
        return None
    return outer


async def call_function(
    run: WorkflowRun,
    node_id: str,
    function: Callable[[Any], Any],
    argument: Any,
    deadline: float | None,
) -> Any:
    """Call a node's function; what it runs is nested in the node. Raises what ``call`` raises.

    Threads and tasks that the runtime uses for the call get a copy of this context.
    """
    token = _outer_node.set(OuterNode(run, node_id))
    try:
        return await run.runtime.call(function, argument, deadline)
    finally:
        _outer_node.reset(token)


class NestedChannel(RunChannel):
    """Hands the events of a nested run to the reader of the outer one.

    A nested run that outlives the outer one, in a thread or a task of its own, goes on without a
    reader. If the reader has left, it is stopped like the outer run.
    """

    def __init__(self, run: WorkflowRun, channel: RunChannel, node_id: str) -> None:
        """``run`` is the outer run, ``channel`` the one to its reader."""
        self._run = run
        self._channel = channel
        self._node_id = node_id

    @property
    def is_closed(self) -> bool:
        return self._run.was_abandoned if self._run.is_over else self._channel.is_closed

    @property
    def waiter(self) -> type[Waiter]:
        return self._channel.waiter

    async def emit(
        self,
        event: Event,
        deadline: float | None = None,
        model_stream_closed: Waiter | None = None,
    ) -> None:
        nested = NestedEvent(self._node_id, event)
        try:
            if not self._run.is_over:
                await self._channel.emit(nested, deadline, model_stream_closed)
        except RunCancelled:
            if self.is_closed:
                raise

    def writing(self) -> AbstractContextManager[None]:
        return self._channel.writing()
