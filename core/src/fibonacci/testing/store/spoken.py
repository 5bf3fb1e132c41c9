"""A memory and a store as the tests see them: plain calls, made in the mode of the test."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from inspect import iscoroutine
from time import monotonic
from typing import Any, Literal, cast

import attrs

from fibonacci import MemoryManager, MemoryView
from fibonacci._memory.store_handle import stores_of
from fibonacci.plugin import Absent, Address, AsyncStore, KeepTTL, Page, Space, Store, run_sync
from fibonacci.testing.modes import CallMode, Question


@attrs.frozen
class Call:
    """A verb and its arguments, to be made later."""

    verb: str
    args: tuple[Any, ...]
    named: dict[str, Any]


def call(verb: str, *args: Any, **named: Any) -> Call:
    """Return a call of a verb, for ``together``."""
    return Call(verb, args, named)


class Spoken:
    """A memory, or a view of one, whose verbs are called in one mode."""

    def __init__(self, memory: MemoryManager | MemoryView, mode: CallMode) -> None:
        self._memory = memory
        self._mode = mode
        self._views: list[Spoken] = []
        self._places: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("for_"):
            return lambda owner: self._view(getattr(self._memory, name)(owner))

        def speak(*args: Any, **named: Any) -> Any:
            return self._mode.ask(self._question(Call(name, args, named)))

        return speak

    @property
    def plain(self) -> MemoryManager | MemoryView:
        """The memory itself."""
        return self._memory

    def together(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls, several at a time; return their answers in order."""
        return self._mode.ask_together(list(map(self._question, calls)))

    def wipe(self) -> None:
        """Clear the scopes that were used, as far as that works."""
        for place in self._places:
            with suppress(Exception):
                self._memory.clear(**place)
        for view in self._views:
            view.wipe()

    def _view(self, view: MemoryView) -> "Spoken":
        self._views.append(Spoken(view, self._mode))
        return self._views[-1]

    def _question(self, call: Call) -> Question:
        place = {name: value for name, value in call.named.items() if name in ("scope", "user_id")}
        if place not in self._places:
            self._places.append(place)
        plain, awaited = getattr(self._memory, call.verb), getattr(self._memory, "a" + call.verb)
        if call.verb == "iter_keys":
            plain, awaited = _listed(plain), _alisted(awaited)
        return Question(
            lambda: plain(*call.args, **call.named), lambda: awaited(*call.args, **call.named)
        )


def together(memory: MemoryManager, calls: Sequence[Call]) -> list[Any]:
    """Make the calls on a spoken memory, several at a time; return their answers in order."""
    return cast(Spoken, memory).together(calls)


class Raw:
    """The store under a memory: bytes in, bytes out."""

    def __init__(self, memory: MemoryManager, prefix: str, mode: CallMode, timeout: float) -> None:
        self._stores = stores_of(memory)
        self._prefix = prefix
        self._mode = mode
        self._timeout = timeout
        self._touched: set[Space] = set()

    @property
    def store(self) -> Store | AsyncStore:
        """What the backend made for sync code."""
        return self._stores.blocking_store

    def space(
        self,
        scope: Literal["workflow", "user", "organization", "global"] = "workflow",
        owner: str = "w",
        prefix: str = "",
    ) -> Space:
        """Return a space under this test's own key prefix; it is cleared after the test."""
        return self.own(Space(self._prefix + prefix, scope, "" if scope == "global" else owner))

    def own(self, space: Space) -> Space:
        """Have the space cleared after the test."""
        self._touched.add(space)
        return space

    def address(self, key: str, owner: str = "w") -> Address:
        """Return an address in a workflow's space."""
        return Address(self.space(owner=owner), key)

    def read(self, address: Address, **when: float) -> bytes | None:
        return cast(bytes | None, self.ask("read", address, **when))

    def write(
        self, address: Address, data: bytes, ttl_ms: int | None = None, **when: float
    ) -> None:
        self.ask("write", address, data, ttl_ms, **when)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None = None,
    ) -> bool:
        return cast(bool, self.ask("compare_and_set", address, expected, data, ttl_ms))

    def remove(self, address: Address) -> bool:
        return cast(bool, self.ask("remove", address))

    def remaining_ttl_ms(self, address: Address) -> int | Absent | None:
        return cast(int | Absent | None, self.ask("remaining_ttl_ms", address))

    def exists(self, address: Address) -> bool:
        return cast(bool, self.ask("exists", address))

    def touch(self, address: Address, ttl_ms: int | None) -> bool:
        return cast(bool, self.ask("touch", address, ttl_ms))

    def read_many(self, addresses: Sequence[Address]) -> list[bytes | None]:
        return cast(list[bytes | None], self.ask("read_many", addresses))

    def write_many(self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None = None) -> None:
        self.ask("write_many", items, ttl_ms)

    def pages(self, space: Space, prefix: str = "", limit: int = 1000) -> Iterator[Page]:
        """Scan a space, page by page."""
        cursor = None
        while True:
            named = {"prefix": prefix, "cursor": cursor, "limit": limit}
            page = cast(Page, self.ask("scan", space, **named))
            yield page
            cursor = page.cursor
            if cursor is None:
                return

    def keys(self, space: Space, prefix: str = "", limit: int = 1000) -> list[str]:
        """Scan a space to its end."""
        return [key for page in self.pages(space, prefix, limit) for key in page.keys]

    def clear(self, space: Space, *, default: bool = False) -> None:
        """Clear a space, step by step, as core does."""
        ask = self.ask_default if default else self.ask
        cursor = ask("clear", space)
        while cursor is not None:
            cursor = ask("clear", space, cursor=cursor)

    def ask(self, method: str, *args: Any, **named: Any) -> Any:
        """Call a method of the store."""
        named.setdefault("deadline", monotonic() + self._timeout)
        return self._mode.ask(
            Question(
                lambda: _answer(getattr(self.store, method)(*args, **named)),
                lambda: getattr(self._stores.async_store, method)(*args, **named),
            )
        )

    def ask_default(self, method: str, *args: Any, **named: Any) -> Any:
        """Call the default of the base class instead of the store's own method."""
        named.setdefault("deadline", monotonic() + self._timeout)
        return self._mode.ask(
            Question(
                lambda: _answer(_default(self.store, method)(*args, **named)),
                lambda: getattr(AsyncStore, method)(self._stores.async_store, *args, **named),
            )
        )

    def wipe(self) -> None:
        """Clear the spaces that were used, as far as that works."""
        for space in self._touched:
            with suppress(Exception):
                self.clear(space)


def _default(store: Store | AsyncStore, method: str) -> Any:
    base = Store if isinstance(store, Store) else AsyncStore
    return partial(getattr(base, method), store)


def _answer(returned: Any) -> Any:
    """Return the answer of a store that a backend made for sync code, of either kind."""
    return run_sync(returned) if iscoroutine(returned) else returned


def _listed(pages: Any) -> Any:
    return lambda *args, **named: list(pages(*args, **named))


def _alisted(pages: Any) -> Any:
    async def listed(*args: Any, **named: Any) -> list[str]:
        return [key async for key in pages(*args, **named)]

    return listed
