"""Helpers for tests of streams: an endless model, a slow store, and readers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from threading import Event
from typing import Any

from fibonacci import (
    ModelError,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Completion, Model, ModelRequest, TextDelta


class Endless(Model):
    """Repeats one word forever, and records whether it was stopped."""

    def __init__(self) -> None:
        self.said = 0
        self.closed = 0

    def complete(self, request: ModelRequest) -> Completion:
        raise ModelError("there is no end")

    def stream(self, request: ModelRequest) -> Generator[TextDelta | Completion]:
        try:
            while True:
                self.said += 1
                yield TextDelta("word ")
        finally:
            self.closed += 1

    async def astream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Completion]:
        try:
            while True:
                self.said += 1
                yield TextDelta("word ")
        finally:
            await asyncio.sleep(0)
            self.closed += 1


def until(events: Any, kind: type, node_id: str = "n") -> None:
    """Read up to an event of this kind."""
    for event in events:
        if isinstance(event, kind) and event.node_id == node_id:
            return
    raise AssertionError


def soon(condition: Any) -> bool:
    """Return whether it becomes true within five seconds."""
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.01)
    return False


class Slow(LocalStore):
    """A store whose writes wait until they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = Event()
        self.go = Event()

    def write(self, address: Address, *args: Any, **kwargs: Any) -> None:
        self.writing.set()
        assert self.go.wait(60)
        super().write(address, *args, **kwargs)
