"""One request to the service and the events of its answer, for a thread or for an event loop."""

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from fibonacci.plugin.runtime import raise_for_signal, seconds_left, timeout_at
from fibonacci_anthropic.call import Call
from fibonacci_anthropic.clients import Clients

if TYPE_CHECKING:
    import asyncio

PATH: Final = "/v1/messages"
CONNECT: Final = 5.0
"""Seconds for a connection to be made, as the SDK has it."""
SILENCE: Final = 600.0
"""Seconds in which the service says nothing, not even that it still works: as the SDK has it."""
PATIENCE: Final = 0.5
"""Seconds that the end of a stream is waited for, so that its connection can be used again."""

END: Final = object()
"""In the place of an event, after the last."""


class Line:
    """Blocks its thread: its coroutines never wait for anything else."""

    beyond = 0.0
    """Seconds beyond the deadline at which the SDK gives up by itself."""

    def __init__(self, clients: Clients, deadline: float | None) -> None:
        self._clients = clients
        self._call = Call(deadline)
        self._client: Any = None
        self._events: Any = None

    async def ready(self) -> None:
        """Have a client; the first of all takes seconds, as the SDK is imported for it."""
        self._client = self._clients.plain()

    async def open(self, body: dict[str, Any]) -> None:
        """Send the request, and take the head of the answer.

        A server may close a connection that rests in the very moment in which it is taken for the
        next request (RFC 9112, section 9.5). Nothing was answered then, and the request goes out
        again, over another one; what fails on a connection of its own is a failure.
        """
        from anthropic import APIConnectionError, APITimeoutError

        try:
            self._events = await self._post(self._arguments(body))
        except APITimeoutError:
            raise
        except APIConnectionError as fault:
            raise_for_signal(fault)
            if self._call.connects:
                raise
            self._events = await self._post(self._arguments(body))

    async def _post(self, arguments: dict[str, Any]) -> Any:
        with self._call.going_on():
            return self._client.post(PATH, **arguments)

    async def event(self) -> Any:
        """Return the next event, a dict if all is well; END after the last."""
        seconds_left(self._call.deadline)
        with self._call.going_on():
            return next(self._events, END)

    async def close(self) -> None:
        """End the request, whatever it is doing."""
        if self._events is not None:
            self._events.close()

    async def finish(self) -> None:
        """Wait for the end of a stream that has said all; if it does not come, no harm is done."""
        soon, due = monotonic() + PATIENCE, self._call.deadline
        self._call.deadline = soon if due is None else min(soon, due)
        try:
            await self.event()
        except Exception as fault:  # noqa: BLE001 - of four libraries
            raise_for_signal(fault)

    def _arguments(self, body: dict[str, Any]) -> dict[str, Any]:
        from anthropic import Timeout

        rest = seconds_left(self._call.deadline)
        rest = SILENCE if rest is None else rest + self.beyond
        return {
            "body": body,
            # Plain data, and not the SDK's types: those believe whatever a server sends.
            "cast_to": object,
            "stream": True,
            "stream_cls": self._stream(),
            "options": {"timeout": Timeout(rest, connect=min(CONNECT, rest))},
        }

    def _stream(self) -> Any:
        from anthropic import Stream

        return Stream[object]


class LoopLine(Line):
    """Waits on the running event loop."""

    # The loop's timeout ends a request. Were the SDK's to do so in the same moment, the one would
    # break off what the other does to close the connection.
    beyond = 1.0

    async def ready(self) -> None:
        async with self._timeout():
            self._client = await self._clients.native()

    async def _post(self, arguments: dict[str, Any]) -> Any:
        async with self._timeout():
            with self._call.going_on():
                return await self._client.post(PATH, **arguments)

    async def event(self) -> Any:
        async with self._timeout():
            return await anext(self._events, END)

    async def close(self) -> None:
        # Dropped here, the SDK's async generators are closed by this loop. An exception's traceback
        # can keep this object: then garbage collection in another thread closed them while the
        # loop did ("async generator already executing").
        events, self._events = self._events, None
        if events is not None:
            await events.close()

    def _timeout(self) -> "asyncio.Timeout":
        seconds_left(self._call.deadline)  # or work that need not wait would go on beyond it
        return timeout_at(self._call.deadline)

    def _stream(self) -> Any:
        from anthropic import AsyncStream

        return AsyncStream[object]
