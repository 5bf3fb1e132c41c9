"""The store contract for async code, and the default methods for sync and async code."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from time import monotonic
from typing import Any, Final, Literal

import attrs

from fibonacci.errors import ConflictError
from fibonacci.plugin._runtime.timing import backoff
from fibonacci.plugin.address import Address, Space


class Sentinel(Enum):
    """Results and arguments that are distinct from ``None`` and from every value."""

    ABSENT = "ABSENT"
    KEEP_TTL = "KEEP_TTL"

    def __repr__(self) -> str:
        """Return the name."""
        return self.value


ABSENT: Final = Sentinel.ABSENT
"""There is no unexpired record. An expired record that the server still holds is absent, too."""

KEEP_TTL: Final = Sentinel.KEEP_TTL
"""Keep the current expiry of the record; a new record never expires."""

Absent = Literal[Sentinel.ABSENT]
"""The type of ABSENT."""

KeepTTL = Literal[Sentinel.KEEP_TTL]
"""The type of KEEP_TTL."""


@attrs.frozen
class Page:
    """Some keys of a space, in code-point order, and the cursor of the next page."""

    keys: Sequence[str]
    """Keys of unexpired records, without duplicates."""
    cursor: str | None
    """The argument for the next ``scan``; None at the end. An empty page need not be the last."""


class AsyncStore(ABC):
    """A store for async code: the methods of Store as coroutines. One object serves one event loop.

    A blocking store, whose coroutines never suspend, serves the sync code of all threads of one
    process instead: see :meth:`Backend.create_store`.
    """

    clock: Literal["server", "client"] = "server"
    """See :attr:`Store.clock`."""
    retry_transient_errors: bool = True
    """See :attr:`Store.retry_transient_errors`."""
    _is_blocking: bool | None = None
    """Whether it serves sync code, so that its coroutines never suspend; None until core has
    created it."""
    _in_process: bool = False
    """Whether a compare-and-set is a step in memory, so that callers need not queue for it."""
    _needs_guard: bool = True
    """Whether core translates exceptions that are none of ours. Not on a store of ours that needs
    no retries and translates all by itself: the guard takes a tenth of a read from a local file."""
    _writer_queues: Any = None
    """Where callers that change one record queue; core sets it."""

    @abstractmethod
    async def read(self, address: Address, *, deadline: float) -> bytes | None:
        """See :meth:`Store.read`."""

    @abstractmethod
    async def write(
        self, address: Address, data: bytes, ttl_ms: int | None, *, deadline: float
    ) -> None:
        """See :meth:`Store.write`."""

    @abstractmethod
    async def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None,
        *,
        deadline: float,
    ) -> bool:
        """See :meth:`Store.compare_and_set`."""

    @abstractmethod
    async def remove(self, address: Address, *, deadline: float) -> bool:
        """See :meth:`Store.remove`."""

    @abstractmethod
    async def remaining_ttl_ms(self, address: Address, *, deadline: float) -> int | Absent | None:
        """See :meth:`Store.remaining_ttl_ms`."""

    @abstractmethod
    async def scan(
        self,
        space: Space,
        *,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 1000,
        deadline: float,
    ) -> Page:
        """See :meth:`Store.scan`."""

    @abstractmethod
    async def close(self) -> None:
        """See :meth:`Store.close`."""

    async def read_many(
        self, addresses: Sequence[Address], *, deadline: float
    ) -> list[bytes | None]:
        """See :meth:`Store.read_many`."""
        return [await self.read(address, deadline=deadline) for address in addresses]

    async def write_many(
        self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None, *, deadline: float
    ) -> None:
        """See :meth:`Store.write_many`."""
        for address, data in items:
            await self.write(address, data, ttl_ms, deadline=deadline)

    async def remove_many(self, addresses: Sequence[Address], *, deadline: float) -> int:
        """See :meth:`Store.remove_many`."""
        return sum([await self.remove(address, deadline=deadline) for address in addresses])

    async def exists(self, address: Address, *, deadline: float) -> bool:
        """See :meth:`Store.exists`."""
        return await self.remaining_ttl_ms(address, deadline=deadline) is not ABSENT

    async def touch(self, address: Address, ttl_ms: int | None, *, deadline: float) -> bool:
        """See :meth:`Store.touch`."""
        attempt = 0
        while (data := await self.read(address, deadline=deadline)) is not None:
            if await self.compare_and_set(address, data, data, ttl_ms, deadline=deadline):
                return True
            attempt += 1
            await self.pause(attempt, address, deadline=deadline)
        return False

    async def clear(
        self, space: Space, *, cursor: str | None = None, deadline: float
    ) -> str | None:
        """See :meth:`Store.clear`."""
        page = await self.scan(space, cursor=cursor, deadline=deadline)
        await self.remove_many([Address(space, key) for key in page.keys], deadline=deadline)
        return page.cursor

    def check_size(self, address: Address, data: bytes) -> None:  # noqa: B027 - a default
        """See :meth:`Store.check_size`; no coroutine, as it sends no request."""

    async def pause(self, attempt: int, address: Address, *, deadline: float) -> None:
        """Back off before a lost compare-and-set is retried; ConflictError at the deadline.

        The wait is random, up to a bound that doubles from 2 ms to 64 ms with each ``attempt``
        (1, 2, ...), so that the writers of one record do not retry in step.
        """
        seconds = backoff(attempt, base=0.001, cap=0.064)
        if monotonic() + seconds > deadline:
            raise ConflictError(
                f"gave up on {address} after {attempt} attempts: other writers changed it each "
                f"time. Raise the timeout, or let fewer writers share one record"
            )
        await self._sleep(seconds)

    async def _sleep(self, seconds: float) -> None:
        if self._is_blocking:
            time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs it
            return
        import asyncio  # only async programs pay for it: 62 ms

        await asyncio.sleep(seconds)
