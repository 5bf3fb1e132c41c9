"""One request to the service and its stream of events, blocking or in an event loop."""

from abc import ABC, abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from fibonacci.errors import ModelError
from fibonacci.plugin import Completion, ModelRequest, TextDelta
from fibonacci.plugin.runtime import raise_for_signal, seconds_left, timeout_at
from fibonacci_anthropic.caching import Cache
from fibonacci_anthropic.clients import Clients
from fibonacci_anthropic.credentials import Credentials
from fibonacci_anthropic.faults import map_errors
from fibonacci_anthropic.messages import ResponseAccumulator, request_body, warn_if_deprecated
from fibonacci_anthropic.transport import Call

if TYPE_CHECKING:
    import asyncio

PATH: Final = "/v1/messages"
CONNECT_TIMEOUT: Final = 5.0
"""Seconds to open a connection: the SDK's default."""
IDLE_TIMEOUT: Final = 600.0
"""Seconds without any event, not even a ping: the SDK's default."""
DRAIN_TIMEOUT: Final = 0.5
"""Seconds to wait for the end of a complete stream, so that its connection can be reused."""

END: Final = object()
"""Returned instead of an event after the last one."""


class EventStream(ABC):
    """One request, and the events of its response."""

    timeout_margin = 0.0
    """Seconds between the deadline and the SDK's own timeout."""

    def __init__(self, clients: Clients, deadline: float | None) -> None:
        self._clients = clients
        self._call = Call(deadline)
        self._client: Any = None
        self._events: Any = None

    @abstractmethod
    async def acquire_client(self) -> None:
        """Get a client; the first one of a process takes seconds, as it imports the SDK."""

    async def send(self, body: dict[str, Any]) -> None:
        """Send the request and receive the head of the response.

        A server may close an idle connection at the very moment in which it is taken for the next
        request (RFC 9112, section 9.5). Then nothing was processed, and the request is sent again
        over another connection. A failure on a new connection is raised.
        """
        from anthropic import APIConnectionError, APITimeoutError

        try:
            self._events = await self._post(self._arguments(body))
        except APITimeoutError:
            raise
        except APIConnectionError as error:
            raise_for_signal(error)
            if self._call.opened_connection:
                raise
            self._events = await self._post(self._arguments(body))

    @abstractmethod
    async def _post(self, arguments: dict[str, Any]) -> Any:
        """Return the SDK's stream of events."""

    @abstractmethod
    async def next_event(self) -> Any:
        """Return the next event, normally a dict; END after the last one."""

    @abstractmethod
    async def close(self) -> None:
        """End the request, whatever it is doing."""

    async def drain(self) -> None:
        """Wait for the end of a complete stream; it does not matter if it fails to come."""
        drain_deadline, deadline = monotonic() + DRAIN_TIMEOUT, self._call.deadline
        self._call.deadline = drain_deadline if deadline is None else min(drain_deadline, deadline)
        try:
            await self.next_event()
        except Exception as error:  # noqa: BLE001 - of four libraries
            raise_for_signal(error)

    def _arguments(self, body: dict[str, Any]) -> dict[str, Any]:
        from anthropic import Timeout

        left = seconds_left(self._call.deadline)
        timeout = IDLE_TIMEOUT if left is None else left + self.timeout_margin
        return {
            "body": body,
            # Dicts, and not the SDK's types: those trust whatever a server sends.
            "cast_to": object,
            "stream": True,
            "stream_cls": self._stream_class(),
            "options": {"timeout": Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout))},
        }

    @abstractmethod
    def _stream_class(self) -> Any:
        """Return the SDK's class for the stream."""


class BlockingEventStream(EventStream):
    """An event stream that blocks its thread: its coroutines never suspend."""

    async def acquire_client(self) -> None:
        self._client = self._clients.blocking_client()

    async def _post(self, arguments: dict[str, Any]) -> Any:
        return self._call.run(self._client.post, PATH, **arguments)

    async def next_event(self) -> Any:
        seconds_left(self._call.deadline)
        return self._call.run(next, self._events, END)

    async def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _stream_class(self) -> Any:
        from anthropic import Stream

        return Stream[object]


class AsyncEventStream(EventStream):
    """An event stream that waits on the running event loop."""

    # The loop's timeout ends a request. If the SDK's fired at the same moment, one would interrupt
    # what the other does to close the connection.
    timeout_margin = 1.0

    async def acquire_client(self) -> None:
        async with self._timeout():
            self._client = await self._clients.async_client()

    async def _post(self, arguments: dict[str, Any]) -> Any:
        async with self._timeout():
            return await self._call.arun(self._client.post(PATH, **arguments))

    async def next_event(self) -> Any:
        async with self._timeout():
            return await anext(self._events, END)

    async def close(self) -> None:
        # Dropped here, the SDK's async generators are closed by this loop. An exception's traceback
        # can keep this object alive: then garbage collection in another thread closed them while
        # the loop did ("async generator already executing").
        events, self._events = self._events, None
        if events is not None:
            await events.close()

    def _timeout(self) -> "asyncio.Timeout":
        seconds_left(self._call.deadline)  # or work that never suspends would pass the deadline
        return timeout_at(self._call.deadline)

    def _stream_class(self) -> Any:
        from anthropic import AsyncStream

        return AsyncStream[object]


class MessageStream:
    """One request and its response, for both kinds of event streams. Raises ModelError."""

    def __init__(
        self,
        events: EventStream,
        credentials: Credentials,
        request: ModelRequest,
        cache: Cache | None,
    ) -> None:
        self._events = events
        self._credentials = credentials
        self._request = request
        self._cache: Cache | None = cache
        self._response = ResponseAccumulator()
        self._is_exhausted = False

    async def send(self, model: str) -> None:
        """Send the request."""
        await map_errors(self._send(model), self._request, self._credentials)

    async def _send(self, model: str) -> None:
        await self._events.acquire_client()
        warn_if_deprecated(model)
        await self._events.send(request_body(model, self._request, self._cache))

    async def next_item(self) -> TextDelta | Completion | None:
        """Return the next delta; after the last one the completion, and then None."""
        if not self._response.is_complete:
            text = await map_errors(self._next_text(), self._request, self._credentials)
            if text is not None:
                return TextDelta(text)
        if self._is_exhausted:
            return None
        self._is_exhausted = True
        await self._events.drain()
        return self._response.completion()

    async def _next_text(self) -> str | None:
        """Return the next text, None at the end of the response."""
        while not self._response.is_complete:
            event = await self._events.next_event()
            if event is END:
                raise ModelError("anthropic: the response was cut off", retryable=True)
            if text := self._response.add(event):
                return text
        return None

    async def close(self) -> None:
        """End the request, whatever it is doing."""
        await self._events.close()
