"""Runs that a node's function starts by its context: they are a part of the outer run."""

from contextlib import AbstractContextManager, suppress

from fibonacci._workflow.events import Event, NestedEvent
from fibonacci._workflow.run import OuterNode, RunChannel
from fibonacci._workflow.runtime import RunCancelled, Runtime
from fibonacci.plugin._runtime.waiters import Waiter


def nested_channel(outer: OuterNode, runtime: Runtime) -> "NestedChannel | None":
    """Return the channel of a nested run; None if it can't reach the outer one's reader."""
    channel = outer.run.channel
    if channel is None or runtime.event_loop is not outer.run.runtime.event_loop:
        return None
    return NestedChannel(outer, channel)


class NestedChannel(RunChannel):
    """Hands the events of a nested run to the reader of the outer one.

    A nested run that outlives the call of its function, in a thread or a task of its own, goes on
    without a reader.
    """

    def __init__(self, outer: OuterNode, channel: RunChannel) -> None:
        """``channel`` is the one to the outer run's reader."""
        self._outer = outer
        self._channel = channel
        self.run_id = ""
        """Of the nested run."""

    @property
    def is_closed(self) -> bool:
        return self._outer.was_abandoned if self._outer.is_over else self._channel.is_closed

    @property
    def waiter(self) -> type[Waiter]:
        return self._channel.waiter

    async def emit(
        self,
        event: Event,
        deadline: float | None = None,
        model_stream_closed: Waiter | None = None,
    ) -> None:
        nested = NestedEvent(self._outer.node_id, event, self.run_id)
        if not self._outer.is_over:
            with suppress(RunCancelled):  # also if the call has just ended: then nobody has left
                await self._channel.emit(nested, deadline, model_stream_closed)
        if self.is_closed:
            raise RunCancelled

    def writing(self) -> AbstractContextManager[None]:
        return self._channel.writing()
