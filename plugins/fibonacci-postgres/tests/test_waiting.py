"""Waiting for a socket in an event loop."""

import asyncio
import socket
import time
from types import SimpleNamespace
from typing import Any

from fibonacci_postgres.connection import READ, WRITE
from fibonacci_postgres.waiting import AsyncWait


def test_readable_and_writable_at_once() -> None:
    """A socket that becomes readable and writable in the same moment ends the wait, once."""
    ours, theirs = socket.socketpair()
    watched: Any = SimpleNamespace(fd=ours.fileno(), events=READ | WRITE, max_poll_interval=60.0)
    problems: list[object] = []

    async def wait_twice() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        theirs.send(b"x")
        for _ in range(2):
            await AsyncWait().wait(watched, time.monotonic() + 60)
        assert not loop.remove_reader(ours)  # None from uvloop
        assert not loop.remove_writer(ours)

    with ours, theirs:
        asyncio.run(wait_twice())
    assert problems == []
