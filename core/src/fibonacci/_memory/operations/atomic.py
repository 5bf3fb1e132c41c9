"""add, update, append, increment: changes that concurrent writers don't lose.

All stand on compare-and-set of the stored bytes. The callers of a process take turns; one that lost
against another process is tried again after a pause, until the deadline; one whose answer was lost
is not, as nobody can tell whether it was applied.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from fibonacci._memory import codec
from fibonacci._memory.addresses import UNSAID
from fibonacci._memory.cas import CompareAndSetLoop
from fibonacci._memory.expiry import TTL
from fibonacci._memory.oldest import shortened
from fibonacci._memory.operations.verbs import Verbs, in_sync
from fibonacci.errors import InvalidArgumentError, ValueTooLargeError, WrongTypeError
from fibonacci.plugin.address import Address, Scope
from fibonacci.plugin.storage import ABSENT

N = TypeVar("N", int, float)


class Atomic(Verbs):
    """Read, change and write as one step.

    A record that is there keeps its expiry; one that is created gets ``ttl``, else
    ``default_ttl``, else none.
    """

    async def aadd(
        self,
        key: str,
        value: Any,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> bool:
        """Store a value if there is no live record; say whether it was stored.

        Raises what ``set`` raises; OutcomeUnknownError where the answer was lost.
        """
        address = self._find(key, scope, user_id)
        data = self._pack(value, address)
        ttl_ms = self._ttl_ms(ttl)
        added: bool = await self._handle.store.compare_and_set(
            address, ABSENT, data, ttl_ms, deadline=self._deadline()
        )
        return added

    add = in_sync(aadd)

    async def aupdate(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Any:
        """Replace the value by what ``fn`` makes of it, and return the new value.

        Args:
            key: the record's name in its scope.
            fn: takes the value and returns the new one. It is a plain function, may be called
                several times if other writers come between, and what it raises passes through
                (but for StopIteration, which Python makes a RuntimeError here).
            default: what ``fn`` gets where there is no record, as a copy of its own each time.
            scope: whose record it is.
            user_id: the user, for the user scope alone.
            ttl: seconds to live, if the record is created.

        Raises what ``set`` raises; ConflictError where other writers won until the deadline;
        OutcomeUnknownError where the answer was lost.
        """
        if not callable(fn):
            raise InvalidArgumentError(f"fn must be a function, not {type(fn).__name__}")
        address = self._find(key, scope, user_id)

        def change(data: bytes | None) -> Any:
            # The default as a copy: fn may change it, and may be called again.
            start = codec.encode(default, address) if data is None else b""
            old = codec.decode(start, address) if data is None else self._unpack(data, address)
            return _not_awaitable(fn(old))

        _, data = await self._change(address, change, ttl)
        return self._unpack(data, address)

    update = in_sync(aupdate)

    async def aappend(
        self,
        key: str,
        *items: Any,
        max_items: int | None = None,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> int:
        """Add items to the end of a list, and return its new length.

        Args:
            key: the list's name in its scope; where there is no record, an empty list.
            items: one element each.
            max_items: how many of the newest to keep at most. Where they take more bytes than a
                record may have, fewer stay: the oldest make room for these items.
            scope: whose record it is.
            user_id: the user, for the user scope alone.
            ttl: seconds to live, if the record is created.

        Raises WrongTypeError where the value is no list; ValueTooLargeError where these items alone
        are over a limit, or all items are and there is no ``max_items``; and what ``update``
        raises.
        """
        if not items:
            raise InvalidArgumentError("append needs at least one item")
        if max_items is not None and (type(max_items) is not int or max_items < 1):
            raise InvalidArgumentError("max_items must be a whole number of at least 1, or None")
        address = self._find(key, scope, user_id)

        def change(data: bytes | None) -> list[Any]:
            turns = [] if data is None else self._unpack(data, address)
            if not isinstance(turns, list):
                raise _wrong_type(address, turns, "append to", "a list")
            turns += items
            return turns if max_items is None else turns[-max_items:]

        turns, _ = await self._change(address, change, ttl, len(items), max_items)
        return len(turns)

    append = in_sync(aappend)

    async def aincrement(
        self,
        key: str,
        amount: N = 1,
        scope: Scope = UNSAID,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> N:
        """Add an amount to a number, and return the new one; without a record it was 0.

        An int and an int make an int. A record that holds a float stays a float: a type checker,
        which sees the amount alone, takes it for an int. Raises WrongTypeError where the value is
        no number, and what ``update`` raises.
        """
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise InvalidArgumentError(f"amount must be a number, not {type(amount).__name__}")
        if amount != amount or amount in (math.inf, -math.inf):
            raise InvalidArgumentError(f"amount must be a finite number, not {amount}")
        address = self._find(key, scope, user_id)
        plain = int.__int__(amount) if isinstance(amount, int) else float.__float__(amount)

        def change(data: bytes | None) -> float:
            number = 0 if data is None else self._unpack(data, address)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise _wrong_type(address, number, "increment", "a number")
            try:
                return number + plain
            except OverflowError:
                raise InvalidArgumentError(
                    f"can't increment {address}: an int and a float don't add up where the int "
                    f"is beyond 1.8e308"
                ) from None

        number: N
        number, _ = await self._change(address, change, ttl)
        return number

    increment = in_sync(aincrement)

    async def _change(
        self,
        address: Address,
        change: Callable[[bytes | None], Any],
        ttl: TTL | None,
        new: int = 0,
        most: int | None = None,
    ) -> tuple[Any, bytes]:
        """Compare and set until it holds; return the new value, and its bytes.

        What is too large was not written: a list with ``new`` items is shortened, and set against
        the same old bytes.
        """
        loop = CompareAndSetLoop(self._handle, address, self._deadline())
        ttl_ms = self._ttl_ms(ttl)
        try:
            found = await loop.read()
            value = change(found)
            while True:
                try:
                    data = self._pack(value, address)
                    if await loop.try_commit(found, data, ttl_ms):
                        return value, data
                except ValueTooLargeError as fault:
                    if not new:
                        raise
                    value = shortened(value, new, most, address, fault)
                else:
                    found = await loop.read()
                    value = change(found)
        finally:
            loop.release()


def _wrong_type(address: Address, value: Any, verb: str, needed: str) -> WrongTypeError:
    return WrongTypeError(
        f"can't {verb} {address}: it holds a {type(value).__name__}, not {needed}"
    )


def _not_awaitable(value: Any) -> Any:
    """Return what a function returned; InvalidArgumentError if it would have to be awaited."""
    if hasattr(value, "__await__"):
        if close := getattr(value, "close", None):
            close()
        raise InvalidArgumentError("fn must be a plain function; it returned an awaitable")
    return value
