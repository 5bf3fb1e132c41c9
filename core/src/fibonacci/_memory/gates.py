"""Gates: shut at first, opened once, for the one caller who waits at each."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from contextlib import suppress
from threading import Lock, get_ident


class Gate(ABC):
    """A gate in one of the voices."""

    @staticmethod
    @abstractmethod
    def caller() -> Hashable:
        """Which thread asks, or which task."""

    @abstractmethod
    def open(self) -> None:
        """Let whoever waits go on, or comes later. Waits for nothing itself."""

    @abstractmethod
    async def wait(self, seconds: float) -> None:
        """Wait until it is open, but not longer than this."""


class ThreadGate(Gate):
    """Among threads. A bare lock: a `threading.Event` has to take one to be set."""

    caller = staticmethod(get_ident)

    def __init__(self) -> None:
        self._shut = Lock()
        self._shut.acquire()

    def open(self) -> None:
        with suppress(RuntimeError):  # open already
            self._shut.release()

    async def wait(self, seconds: float) -> None:
        self._shut.acquire(timeout=seconds)


class TaskGate(Gate):
    """Among the tasks of an event loop."""

    def __init__(self) -> None:
        import asyncio  # only async programs pay for it: 62 ms

        self._opened = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._timeout = asyncio.timeout

    @staticmethod
    def caller() -> Hashable:
        import asyncio

        return id(asyncio.current_task())  # a task that its loop left behind can be collected

    def open(self) -> None:
        """Also where a task is collected, with its loop or by another thread."""
        if self._thread == get_ident() and not self._loop.is_closed():
            self._opened.set()
            return
        with suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(self._opened.set)

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with self._timeout(seconds):
                await self._opened.wait()
