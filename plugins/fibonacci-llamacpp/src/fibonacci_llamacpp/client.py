"""The HTTP that llama.cpp's server speaks: JSON out, and JSON or a stream of events in."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import h11

from fibonacci.errors import ModelError
from fibonacci_llamacpp.link import Link

EVENT: Final = b"data: "


class Wire:
    """One connection, for one request after the other."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._http = h11.Connection(our_role=h11.CLIENT)

    async def call(self, path: str, body: dict[str, Any]) -> Any:
        """Return what the server answers. Raises ModelError."""
        await self._ask(path, body)
        answer = await self._whole()
        self._http.start_next_cycle()
        return _read(answer)

    async def events(self, path: str, body: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """Yield the events of a stream, up to the one that says ``stop``. Raises ModelError."""
        await self._ask(path, body)
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                if line.startswith(EVENT):
                    event = _read(line.removeprefix(EVENT))
                    yield event
                    if event["stop"]:
                        return
        raise ModelError("llamacpp: the answer broke off", retryable=True)

    async def _lines(self) -> AsyncGenerator[bytes, None]:
        rest = b""
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line

    async def _ask(self, path: str, body: dict[str, Any]) -> None:
        content = _encoded(body)
        headers = [("Host", "localhost"), ("Content-Length", str(len(content)))]
        await self._send(h11.Request(method="POST", target=path, headers=headers))
        await self._send(h11.Data(data=content))
        await self._send(h11.EndOfMessage())
        response = await self._next()
        assert isinstance(response, h11.Response)
        if response.status_code != 200:
            _read(await self._whole())

    async def _whole(self) -> bytes:
        return b"".join([chunk async for chunk in self._chunks()])

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            await self._link.send(data)

    async def _next(self) -> Any:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._link.receive())
        except h11.RemoteProtocolError as error:
            raise ModelError("llamacpp: the answer broke off", retryable=True) from error
        return event


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Without the cause: it holds the prompt.
        raise ModelError("llamacpp: the prompt holds half a surrogate pair") from None


def _read(answer: bytes) -> Any:
    try:
        value = json.loads(answer)
    except ValueError:
        # Without the cause: it holds the answer.
        raise ModelError("llama.cpp: the answer is not JSON") from None
    if error := value.get("error"):
        raise _refusal(error)
    return value


def _refusal(error: dict[str, Any]) -> ModelError:
    if error["type"] == "exceed_context_size_error":
        return ModelError(
            f"llamacpp: the prompt has {error['n_prompt_tokens']} tokens, and the model can take "
            f"{error['n_ctx']}, its answer included. Shorten the prompt, or the history in it"
        )
    return ModelError(f"llama.cpp: {error['message']}", retryable=error["code"] >= 500)
