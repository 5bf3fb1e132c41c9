"""An HTTP client for llama.cpp's server, with one deadline, blocking or in an event loop."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final, Self

import h11

from fibonacci.errors import ModelError
from fibonacci.plugin.runtime import quotes_text, raise_for_signal, seconds_left, timeout_at
from fibonacci_llamacpp.server import ModelServer, ServerProcess

RECV_SIZE: Final = 65_536
"""Bytes read from a socket at once."""

EVENT_PREFIX: Final = b"data: "


@contextmanager
def mapping_errors() -> Iterator[None]:
    """Raise errors of sockets and timeouts as ModelError."""
    try:
        yield
    except OSError as error:
        raise_for_signal(error)
        raise _map_error(error) from error


def _map_error(error: OSError) -> ModelError:
    if isinstance(error, TimeoutError):
        return ModelError(
            "llamacpp: timed out: no complete response by the deadline. Allow more time, request "
            "fewer tokens, or use a smaller model",
            retryable=True,
        )
    return ModelError(f"llamacpp: the connection broke: {error}", retryable=True)


class Connection(ABC):
    """A connection to llama.cpp's server, with one deadline."""

    def __init__(self, process: ServerProcess, deadline: float | None) -> None:
        self._process = process
        self._deadline = deadline
        self._socket = process.connect()

    @classmethod
    @abstractmethod
    async def open(cls, server: ModelServer, deadline: float | None) -> Self:
        """Return a connection once the model is loaded. Raises ModelError."""

    @abstractmethod
    async def send(self, data: bytes) -> None:
        """Send all of the data. Raises ModelError, at the deadline too."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Return received bytes, b"" if the server has closed. Raises ModelError."""

    def close(self) -> None:
        """Close the connection, whatever it is doing."""
        self._process.disconnect(self._socket)


class BlockingConnection(Connection):
    """A connection that blocks its thread: its coroutines never suspend."""

    @classmethod
    async def open(cls, server: ModelServer, deadline: float | None) -> Self:
        with mapping_errors():
            return cls(server.process(deadline), deadline)

    async def send(self, data: bytes) -> None:
        with mapping_errors():
            self._socket.settimeout(seconds_left(self._deadline))
            self._socket.sendall(data)

    async def receive(self) -> bytes:
        with mapping_errors():
            self._socket.settimeout(seconds_left(self._deadline))
            return self._socket.recv(RECV_SIZE)


class AsyncConnection(Connection):
    """A connection that waits on the running event loop."""

    @classmethod
    async def open(cls, server: ModelServer, deadline: float | None) -> Self:
        with mapping_errors():
            connection = cls(await server.aprocess(deadline), deadline)
            connection._socket.setblocking(False)
            return connection

    async def send(self, data: bytes) -> None:
        import asyncio  # 62 ms, for async programs only

        with mapping_errors():
            async with timeout_at(self._deadline):
                await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        import asyncio

        with mapping_errors():
            async with timeout_at(self._deadline):
                return await asyncio.get_running_loop().sock_recv(self._socket, RECV_SIZE)


class Client:
    """Sends JSON over one connection, one request at a time; receives JSON or an event stream."""

    def __init__(self, connection: Connection, texts: Iterable[str] = ()) -> None:
        """Take a connection, and the texts that no error may quote."""
        self._connection = connection
        self._texts = tuple(texts)
        self._http = h11.Connection(our_role=h11.CLIENT)

    async def request(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON of the response. Raises ModelError."""
        await self._send_request(path, body)
        content = await self._read_body()
        self._http.start_next_cycle()
        return self._parse(content)

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Yield the events of a stream, up to the one with ``stop``. Raises ModelError."""
        await self._send_request(path, body)
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                if line.startswith(EVENT_PREFIX):
                    event = self._parse(line.removeprefix(EVENT_PREFIX))
                    yield event
                    if event["stop"]:
                        return
        raise ModelError("llamacpp: the response was cut off", retryable=True)

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        rest = b""
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line

    async def _send_request(self, path: str, body: dict[str, Any]) -> None:
        content = _encode(body)
        headers = [("Host", "localhost"), ("Content-Length", str(len(content)))]
        await self._send(h11.Request(method="POST", target=path, headers=headers))
        await self._send(h11.Data(data=content))
        await self._send(h11.EndOfMessage())
        response = await self._next_event()
        assert isinstance(response, h11.Response)
        if response.status_code != 200:
            self._parse(await self._read_body())

    async def _read_body(self) -> bytes:
        return b"".join([chunk async for chunk in self._chunks()])

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    async def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            await self._connection.send(data)

    async def _next_event(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._connection.receive())
        except h11.RemoteProtocolError as error:
            raise ModelError("llamacpp: the response was cut off", retryable=True) from error
        return event

    def _parse(self, content: bytes) -> Any:
        """Return the JSON of a response. Raises ModelError if it is an error."""
        try:
            value = json.loads(content)
        except ValueError:
            # Without the cause, which holds the response.
            raise ModelError("llama.cpp: the response is not JSON") from None
        if error := value.get("error"):
            raise _map_server_error(error, self._texts)
        return value


def _encode(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Without the cause, which holds the text.
        raise ModelError(
            "llamacpp: the prompt or the history contains half a surrogate pair"
        ) from None


def _map_server_error(error: dict[str, Any], texts: Iterable[str]) -> ModelError:
    if error["type"] == "exceed_context_size_error":
        return ModelError(
            f"llamacpp: the prompt and its history have {error['n_prompt_tokens']} tokens, but the "
            f"model's context has {error['n_ctx']}, output included. Shorten the prompt, or lower "
            "the history's max_tokens"
        )
    message = " ".join(error["message"].split())
    if quotes_text(message, texts):  # its JSON parser quotes what it last read
        message = error["type"]
    return ModelError(f"llama.cpp: {message}", retryable=error["code"] >= 500)
