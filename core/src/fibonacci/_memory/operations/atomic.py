"""add, update, append and increment: changes that concurrent writers don't lose.

All use compare-and-set of the stored bytes. The callers of a process queue for a record; one that
lost against another process retries after a backoff, until the deadline; one that received no
response does not, as its change may have been applied.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from fibonacci._memory import codec
from fibonacci._memory.addresses import DEFAULT_SCOPE
from fibonacci._memory.callbacks import reject_awaitable
from fibonacci._memory.cas import RecordUpdate
from fibonacci._memory.expiry import TTL
from fibonacci._memory.numbers import is_count, is_number
from fibonacci._memory.operations.base import BaseOperations
from fibonacci.errors import InvalidArgumentError, ValueTooLargeError, WrongTypeError
from fibonacci.plugin._run import run_sync
from fibonacci.plugin.address import Address, Scope
from fibonacci.plugin.storage import ABSENT

N = TypeVar("N", int, float)


class AtomicOperations(BaseOperations):
    """Operations that read, change and write as one step.

    An existing record keeps its expiry; a new one gets ``ttl``, else ``default_ttl``, else none.
    """

    def add(
        self,
        key: str,
        value: Any,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> bool:
        """Store a value if there is no live record; return whether it was stored.

        Args:
            key: the record's name in its scope.
            value: anything that strict JSON can represent.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            ttl: seconds to live; ``default_ttl`` if None, for ever with NO_EXPIRY.

        Raises what ``set`` raises; OutcomeUnknownError if the response was lost.
        """
        return run_sync(self._sync_view.aadd(key, value, scope, user_id, ttl))

    async def aadd(
        self,
        key: str,
        value: Any,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> bool:
        """Store a value if there is no live record; the async form of ``add``."""
        address = self._resolve_address(key, scope, user_id)
        data = self._serialize(value, address)
        ttl_ms = self._ttl_ms(ttl)
        added: bool = await self._handle.store.compare_and_set(
            address, ABSENT, data, ttl_ms, deadline=self._deadline()
        )
        return added

    def update(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Any:
        """Replace the value by the result of ``fn``, and return the new value.

        Args:
            key: the record's name in its scope.
            fn: takes the value and returns the new one. It is a sync function, may be called
                several times if other writers come between, and what it raises passes through
                (but StopIteration, which Python turns into a RuntimeError here).
            default: what ``fn`` gets if there is no record, as a new copy each time.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            ttl: seconds to live, if the record is created.

        Raises what ``set`` raises; DecryptionError; ConflictError if other writers won until the
        deadline; OutcomeUnknownError if the response was lost.
        """
        return run_sync(self._sync_view.aupdate(key, fn, default, scope, user_id, ttl))

    async def aupdate(
        self,
        key: str,
        fn: Callable[[Any], Any],
        default: Any = None,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> Any:
        """Replace the value by the result of ``fn``; the async form of ``update``.

        ``fn`` is a sync function, called on the event loop.
        """
        if not callable(fn):
            raise InvalidArgumentError(f"fn must be a function, not {type(fn).__name__}")
        address = self._resolve_address(key, scope, user_id)

        def change(data: bytes | None) -> Any:
            if data is None:  # a copy: fn may change it, and may be called again
                old = codec.decode(codec.encode(default, address), address)
            else:
                old = self._deserialize(data, address)
            return reject_awaitable(fn(old), "fn")

        _, data = await self._change(address, change, ttl)
        return self._deserialize(data, address)

    def append(
        self,
        key: str,
        *items: Any,
        max_items: int | None = None,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> int:
        """Add items to the end of a list, and return its new length.

        Args:
            key: the list's name in its scope; without a record it is an empty list.
            items: one element each.
            max_items: how many of the newest items to keep at most. If they take more bytes than a
                record may have, fewer stay: the oldest make room for these items.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            ttl: seconds to live, if the record is created.

        Raises WrongTypeError if the value is not a list; ValueTooLargeError if these items by
        themselves exceed a limit, or all items do and there is no ``max_items``; and what
        ``update`` raises.
        """
        return run_sync(
            self._sync_view.aappend(
                key, *items, max_items=max_items, scope=scope, user_id=user_id, ttl=ttl
            )
        )

    async def aappend(
        self,
        key: str,
        *items: Any,
        max_items: int | None = None,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> int:
        """Add items to the end of a list; the async form of ``append``."""
        if not items:
            raise InvalidArgumentError("append needs at least one item")
        if max_items is not None and not is_count(max_items):
            raise InvalidArgumentError("max_items must be a whole number of at least 1, or None")
        address = self._resolve_address(key, scope, user_id)

        def change(data: bytes | None) -> list[Any]:
            values = [] if data is None else self._deserialize(data, address)
            if not isinstance(values, list):
                raise _wrong_type_error(address, values, "append to", "a list")
            values += items
            return values if max_items is None else values[-max_items:]

        values, _ = await self._change(address, change, ttl, len(items), max_items)
        return len(values)

    def increment(
        self,
        key: str,
        amount: N = 1,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> N:
        """Add an amount to a number, and return the new number; without a record it was 0.

        An int plus an int is an int. A record that holds a float stays a float: a type checker,
        which sees only the amount, takes it for an int.

        Args:
            key: the record's name in its scope.
            amount: an int or a finite float; it may be negative.
            scope: workflow, user, organization or global.
            user_id: the user, for the user scope only.
            ttl: seconds to live, if the record is created.

        Raises WrongTypeError if the value is not a number, and what ``update`` raises.
        """
        return run_sync(self._sync_view.aincrement(key, amount, scope, user_id, ttl))

    async def aincrement(
        self,
        key: str,
        amount: N = 1,
        scope: Scope = DEFAULT_SCOPE,
        user_id: str | None = None,
        ttl: TTL | None = None,
    ) -> N:
        """Add an amount to a number, and return the new number; the async form of ``increment``."""
        if not is_number(amount):
            raise InvalidArgumentError(f"amount must be a number, not {type(amount).__name__}")
        if amount != amount or amount in (math.inf, -math.inf):
            raise InvalidArgumentError(f"amount must be a finite number, not {amount}")
        address = self._resolve_address(key, scope, user_id)
        step = int.__int__(amount) if isinstance(amount, int) else float.__float__(amount)

        def change(data: bytes | None) -> float:
            number = 0 if data is None else self._deserialize(data, address)
            if not is_number(number):
                raise _wrong_type_error(address, number, "increment", "a number")
            try:
                return number + step
            except OverflowError:
                raise InvalidArgumentError(
                    f"can't increment {address}: an int beyond 1.8e308 and a float can't be added"
                ) from None

        number: N
        number, _ = await self._change(address, change, ttl)
        return number

    async def _change(
        self,
        address: Address,
        change: Callable[[bytes | None], Any],
        ttl: TTL | None,
        new_count: int = 0,
        max_items: int | None = None,
    ) -> tuple[Any, bytes]:
        """Compare and set until it succeeds; return the new value, and its bytes.

        A value that is too large was not written: a list that ends with ``new_count`` new items
        loses its oldest ones, and is written on condition of the same old bytes.
        """
        update = RecordUpdate(self._handle, address, self._deadline())
        ttl_ms = self._ttl_ms(ttl)
        try:
            found = await update.read()
            value = change(found)
            while True:
                try:
                    data = self._serialize(value, address)
                    if await update.try_commit(found, data, ttl_ms):
                        return value, data
                except ValueTooLargeError as error:
                    if not new_count:
                        raise
                    value = _drop_oldest(value, new_count, max_items, address, error)
                else:
                    found = await update.read()
                    value = change(found)
        finally:
            update.release()


def _wrong_type_error(address: Address, value: Any, action: str, expected: str) -> WrongTypeError:
    return WrongTypeError(
        f"can't {action} {address}: it holds a {type(value).__name__}, not {expected}"
    )


def _drop_oldest(
    items: list[Any],
    new_count: int,
    max_items: int | None,
    address: Address,
    error: ValueTooLargeError,
) -> list[Any]:
    """Return the list without its oldest items, as many as make it too large; at least one.

    The ``new_count`` last ones stay, as far as ``max_items`` allows. Raises ValueTooLargeError if
    there are no older items, and without ``max_items``: then nothing may be dropped.
    """
    old = items[: -(new_count if max_items is None else min(new_count, max_items))]
    if not old:
        hint = "These are only the new items: there is no older item to drop"
        raise _with_hint(error, hint) from None
    if max_items is None:
        hint = "With max_items, append drops the oldest items to make room for new ones"
        raise _with_hint(error, hint) from None
    return items[_excess_count(old, address, error) :]


def _with_hint(error: ValueTooLargeError, hint: str) -> ValueTooLargeError:
    return ValueTooLargeError(f"{error}. {hint}", size=error.size, limit=error.limit)


def _excess_count(old: list[Any], address: Address, error: ValueTooLargeError) -> int:
    """How many items have to be dropped, the oldest first.

    Only these are encoded to be measured: a list may have 16 MiB.
    """
    if error.size is None or error.limit is None:
        return -(-len(old) // 2)
    excess = error.size - error.limit
    for count, item in enumerate(old, 1):
        excess -= len(codec.encode(item, address)) + 1  # and its comma
        if excess <= 0:
            return count
    return len(old)
