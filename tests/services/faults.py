"""What a proxy can do to the connections that pass it."""

import asyncio
from typing import TYPE_CHECKING, ClassVar

import attrs

if TYPE_CHECKING:
    from services.link import Direction, Link


class CutError(Exception):
    """A connection ends here: by a reset (RST), or in good order."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


@attrs.frozen
class Pass:
    """No fault; the base of all. Bytes pass as they come."""

    listens: ClassVar[bool] = True
    """Whether new connections are accepted."""
    strikes: ClassVar[CutError | None] = None
    """How it ends connections that are open when it begins, or open later."""

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        """Treat a piece of a request or of a reply; an empty one is the sender's end."""
        await link.send(direction, data)


@attrs.frozen(kw_only=True)
class Delay(Pass):
    """Hold each piece for some seconds, then pass it on."""

    requests: float = 0.0
    replies: float = 0.0

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        await asyncio.sleep(self.requests if direction == "request" else self.replies)
        await link.send(direction, data)


@attrs.frozen(kw_only=True)
class BlackHole(Pass):
    """Accept everything, and pass nothing on until the fault is over: a network that is parted.

    What was held is then delivered, late, as a network would; also if the sender has hung up.
    `requests=False` lets requests through: the server does what the client never hears of.
    """

    requests: bool = True
    replies: bool = True

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        if self.requests if direction == "request" else self.replies:
            await link.hold(direction, data)
        else:
            await link.send(direction, data)


@attrs.frozen(kw_only=True)
class Trickle(Pass):
    """Pass replies on byte by byte, `rate` bytes a second: no single wait for them is long."""

    rate: float

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        if direction == "request":
            await link.send(direction, data)
            return
        for byte in data:
            await asyncio.sleep(1 / self.rate)
            await link.send(direction, bytes([byte]))


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

    async def on(self, direction: "Direction", data: bytes, link: "Link") -> None:
        if not data:
            return
        limit = self.requests if direction == "request" else self.replies
        armed = link.armed or (direction == "request" and self.after in data)
        if not armed or limit is None:
            link.armed = armed
            await link.send(direction, data)
            return
        link.armed = True
        left = limit - link.passed[direction]
        link.passed[direction] += len(data)
        await link.send(direction, data[:left])
        if left <= len(data):
            link.strike(CutError(reset=self.reset), times=self.times)


def lost_reply(*, after: bytes = b"", reset: bool = False, times: int | None = None) -> Cut:
    """Let the server apply a request and begin to answer; then end the connection instead."""
    return Cut(replies=0, after=after, reset=reset, times=times)


def lost_request(*, after: bytes = b"", reset: bool = False, times: int | None = None) -> Cut:
    """End the connection when a request comes, which never reaches the server."""
    return Cut(requests=0, after=after, reset=reset, times=times)


@attrs.frozen
class Reset(Pass):
    """Reset every connection that is open, and every new one as soon as it is accepted."""

    strikes = CutError(reset=True)


@attrs.frozen
class Refuse(Pass):
    """Be like a server that has gone: open connections end, new ones are refused."""

    listens = False
    strikes = CutError()
