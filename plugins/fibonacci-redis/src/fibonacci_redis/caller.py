"""Who waits on a connection that many callers share."""

import asyncio
from typing import Any

from fibonacci_redis.role import demoted
from fibonacci_redis.wire import Lost, Request, Unsent


class Caller:
    """A place in the line of those who share a connection."""

    __slots__ = (
        "answered",
        "count",
        "deadline",
        "end",
        "future",
        "greets",
        "heard",
        "look",
        "reads",
        "replies",
    )

    def __init__(
        self, future: "asyncio.Future[list[Any]]", request: Request, deadline: float, look: float
    ) -> None:
        self.future = future
        self.count = request.replies
        self.reads = not request.writes
        self.greets = False
        """Whether its first reply is the server's role, and nobody's answer."""
        self.deadline = deadline
        self.look = look
        """When to look whether it still waits: at the deadline, or earlier."""
        self.end = 0
        """Where its request ends, in bytes since the connection was made."""
        self.answered = 0
        """How many others the connection had answered before it asked …"""
        self.heard = 0
        """… and how often bytes had come."""
        self.replies: list[Any] = []

    def refuse(self) -> None:
        """Tell it that the server is a replica, which is not read."""
        if self.reads and not self.future.done():
            self.future.set_result([demoted() for _ in range(self.count - self.greets)])

    def fail(self, kind: type[Lost | Unsent], fault: BaseException) -> None:
        if not self.future.done():
            told = kind()
            told.__cause__ = fault
            self.future.set_exception(told)
