"""Faults that a proxy can apply to its connections."""

import asyncio
from typing import TYPE_CHECKING, ClassVar

import attrs

if TYPE_CHECKING:
    from fibonacci.testing.network.connection import Direction, ProxiedConnection


class CutError(Exception):
    """The connection is cut here: reset (RST), or closed in order."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


@attrs.frozen
class Pass:
    """No fault, and the base of all: bytes pass as they arrive."""

    listens: ClassVar[bool] = True
    """Whether new connections are accepted."""
    strikes: ClassVar[CutError | None] = None
    """How it ends connections that are open when it begins, or open later."""

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        """Treat a piece of a request or a reply; an empty one is the sender's end."""
        await connection.send(direction, data)


@attrs.frozen(kw_only=True)
class Delay(Pass):
    """Hold each piece for some seconds, then pass it on."""

    requests: float = 0.0
    """Seconds."""
    replies: float = 0.0
    """Seconds."""

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        await asyncio.sleep(self.requests if direction == "request" else self.replies)
        await connection.send(direction, data)


@attrs.frozen(kw_only=True)
class BlackHole(Pass):
    """Accept everything, and pass nothing on until the fault is over: a network partition.

    What was held is then delivered, late, as in a network; also if the sender has disconnected.
    `requests=False` lets requests through: the server applies them, and no reply arrives.
    """

    requests: bool = True
    replies: bool = True

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        if self.requests if direction == "request" else self.replies:
            await connection.hold(direction, data)
        else:
            await connection.send(direction, data)


@attrs.frozen(kw_only=True)
class Trickle(Pass):
    """Pass replies on byte by byte, `rate` bytes a second: no single read waits long."""

    rate: float

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        if direction == "request":
            await connection.send(direction, data)
            return
        for byte in data:
            await asyncio.sleep(1 / self.rate)
            await connection.send(direction, bytes([byte]))


@attrs.frozen(kw_only=True)
class Cut(Pass):
    """End a connection once so many bytes of its requests, or of its replies, have passed.

    Bytes are counted from when the fault begins; with `after`, from the first request that contains
    those bytes, itself included. Only the first `times` connections are cut, then all is well.
    """

    requests: int | None = None
    replies: int | None = None
    after: bytes = b""
    reset: bool = False
    times: int | None = None

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        if not data:
            return
        limit = self.requests if direction == "request" else self.replies
        armed = connection.armed or (direction == "request" and self.after in data)
        if not armed or limit is None:
            connection.armed = armed
            await connection.send(direction, data)
            return
        connection.armed = True
        left = limit - connection.passed[direction]
        connection.passed[direction] += len(data)
        await connection.send(direction, data[:left])
        if left <= len(data):
            connection.strike(CutError(reset=self.reset), times=self.times)


def lost_reply(*, after: bytes = b"", reset: bool = False, times: int | None = None) -> Cut:
    """Let the server apply a request and begin its reply; then end the connection instead."""
    return Cut(replies=0, after=after, reset=reset, times=times)


def lost_request(*, after: bytes = b"", reset: bool = False, times: int | None = None) -> Cut:
    """End the connection when a request arrives, so that it never reaches the server."""
    return Cut(requests=0, after=after, reset=reset, times=times)


@attrs.frozen
class Forget(Pass):
    """Forget the connections that are open when it begins, as a NAT does with idle ones.

    What is sent on them goes nowhere, for ever, and no end is signalled. New connections pass.
    """

    async def on(
        self, direction: "Direction", data: bytes, connection: "ProxiedConnection"
    ) -> None:
        client_left = direction == "request" and not data
        if connection.older and not client_left:
            await connection.forget()
        await connection.send(direction, data)


@attrs.frozen
class Reset(Pass):
    """Reset every connection that is open, and every new one as soon as it is accepted."""

    strikes = CutError(reset=True)


@attrs.frozen
class Refuse(Pass):
    """Act like a server that is down: open connections end, new ones are refused."""

    listens = False
    strikes = CutError()
