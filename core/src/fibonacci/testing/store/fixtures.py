"""What a test of a store uses: the memory and the store under test, in the test's mode."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from inspect import iscoroutine
from secrets import token_hex
from time import monotonic
from typing import Any, ClassVar, Literal, cast
from urllib.parse import quote

import attrs
import pytest

from fibonacci import MemoryConfig, MemoryManager, MemoryView, Workflow
from fibonacci._discovery import find_plugin
from fibonacci._memory.store_handle import stores_of
from fibonacci.plugin import (
    Absent,
    Address,
    AsyncStore,
    Backend,
    KeepTTL,
    Page,
    Space,
    Store,
    StoreSettings,
    StoreURL,
    run_sync,
)
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.modes import CallMode, CallPair, ModeFixtures
from fibonacci.testing.watchdog import note_progress


@attrs.frozen
class MethodCall:
    """A method's name and its arguments, to be called later."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def call(method: str, *args: Any, **kwargs: Any) -> MethodCall:
    """Return a call of a memory's method, for ``call_concurrently``."""
    return MethodCall(method, args, kwargs)


class MemoryUnderTest:
    """A memory, or a view of one, whose methods are called in one mode."""

    def __init__(self, memory: MemoryManager | MemoryView, mode: CallMode) -> None:
        self._memory = memory
        self._mode = mode
        self._views: list[MemoryUnderTest] = []
        self._used_scopes: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("for_"):
            return lambda owner: self._view(getattr(self._memory, name)(owner))

        def call_method(*args: Any, **kwargs: Any) -> Any:
            return self._mode.call(self._call_pair(MethodCall(name, args, kwargs)))

        return call_method

    @property
    def wrapped(self) -> MemoryManager | MemoryView:
        """The memory itself."""
        return self._memory

    def call_concurrently(self, calls: Sequence[MethodCall]) -> list[Any]:
        """Run the calls, several at a time; return their results in order."""
        return self._mode.call_concurrently(list(map(self._call_pair, calls)))

    def wipe(self) -> None:
        """Clear the scopes that were used, as far as that works."""
        for scope in self._used_scopes:
            note_progress()
            with suppress(Exception):
                self._memory.clear(**scope)
        for view in self._views:
            view.wipe()

    def _view(self, view: MemoryView) -> "MemoryUnderTest":
        self._views.append(MemoryUnderTest(view, self._mode))
        return self._views[-1]

    def _call_pair(self, call: MethodCall) -> CallPair:
        args, kwargs = call.args, call.kwargs
        scope = {name: value for name, value in kwargs.items() if name in ("scope", "user_id")}
        if scope not in self._used_scopes:
            self._used_scopes.append(scope)
        sync_method = getattr(self._memory, call.method)
        async_method = getattr(self._memory, "a" + call.method)
        if call.method == "iter_keys":
            sync_method, async_method = _listing(sync_method), _async_listing(async_method)
        return CallPair(
            lambda: sync_method(*args, **kwargs),
            lambda: async_method(*args, **kwargs),
        )


def call_concurrently(memory: MemoryManager, calls: Sequence[MethodCall]) -> list[Any]:
    """Run the calls on a memory under test, several at a time; return their results in order."""
    return cast(MemoryUnderTest, memory).call_concurrently(calls)


class StoreUnderTest:
    """The store under a memory: bytes in, bytes out."""

    def __init__(self, memory: MemoryManager, prefix: str, mode: CallMode, timeout: float) -> None:
        self._stores = stores_of(memory)
        self._prefix = prefix
        self._mode = mode
        self._timeout = timeout
        self._used_spaces: set[Space] = set()

    @property
    def store(self) -> Store | AsyncStore:
        """What the backend created for sync code."""
        return self._stores.blocking_store

    def space(
        self,
        scope: Literal["workflow", "user", "organization", "global"] = "workflow",
        owner: str = "w",
        prefix: str = "",
    ) -> Space:
        """Return a space under this test's own key prefix; it is cleared after the test."""
        return self.register(
            Space(self._prefix + prefix, scope, "" if scope == "global" else owner)
        )

    def register(self, space: Space) -> Space:
        """Have the space cleared after the test."""
        self._used_spaces.add(space)
        return space

    def address(self, key: str, owner: str = "w") -> Address:
        """Return an address in a workflow's space."""
        return Address(self.space(owner=owner), key)

    def read(self, address: Address, **when: float) -> bytes | None:
        return cast(bytes | None, self.call("read", address, **when))

    def write(
        self, address: Address, data: bytes, ttl_ms: int | None = None, **when: float
    ) -> None:
        self.call("write", address, data, ttl_ms, **when)

    def compare_and_set(
        self,
        address: Address,
        expected: bytes | Absent,
        data: bytes,
        ttl_ms: int | KeepTTL | None = None,
    ) -> bool:
        return cast(bool, self.call("compare_and_set", address, expected, data, ttl_ms))

    def remove(self, address: Address) -> bool:
        return cast(bool, self.call("remove", address))

    def remaining_ttl_ms(self, address: Address) -> int | Absent | None:
        return cast(int | Absent | None, self.call("remaining_ttl_ms", address))

    def exists(self, address: Address) -> bool:
        return cast(bool, self.call("exists", address))

    def touch(self, address: Address, ttl_ms: int | None) -> bool:
        return cast(bool, self.call("touch", address, ttl_ms))

    def read_many(self, addresses: Sequence[Address]) -> list[bytes | None]:
        return cast(list[bytes | None], self.call("read_many", addresses))

    def remove_many(self, addresses: Sequence[Address]) -> int:
        return cast(int, self.call("remove_many", addresses))

    def write_many(self, items: Sequence[tuple[Address, bytes]], ttl_ms: int | None = None) -> None:
        self.call("write_many", items, ttl_ms)

    def check_size(self, address: Address, data: bytes) -> None:
        """Ask the store whether a record of these bytes is too large for it."""

        async def check() -> None:
            self._stores.async_store.check_size(address, data)

        self._mode.call(CallPair(lambda: self.store.check_size(address, data), check))

    @property
    def knows_limit(self) -> bool:
        """Whether the store has a ``check_size`` of its own."""
        method = type(self.store).check_size
        return method not in (Store.check_size, AsyncStore.check_size)

    def pages(self, space: Space, prefix: str = "", limit: int = 1000) -> Iterator[Page]:
        """Scan a space, page by page."""
        cursor, last = None, ""
        while True:
            options = {"prefix": prefix, "cursor": cursor, "limit": limit}
            page = cast(Page, self.call("scan", space, **options))
            if page.keys and cursor is not None:  # a listing that does not go on never ends
                assert page.keys[0] > last, "a page does not begin after the page before"
            last = page.keys[-1] if page.keys else last
            yield page
            cursor = page.cursor
            if cursor is None:
                return

    def keys(self, space: Space, prefix: str = "", limit: int = 1000) -> list[str]:
        """Scan a space to its end."""
        return [key for page in self.pages(space, prefix, limit) for key in page.keys]

    def clear(self, space: Space) -> None:
        """Clear a space, step by step, as core does."""
        cursor = self.call("clear", space)
        while cursor is not None:
            cursor = self.call("clear", space, cursor=cursor)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the store."""
        kwargs.setdefault("deadline", monotonic() + self._timeout)
        return self._mode.call(self._call_pair(MethodCall(method, args, kwargs)))

    def call_concurrently(self, calls: Sequence[MethodCall]) -> list[Any]:
        """Run the calls, several at a time; return their results in order."""
        for one in calls:
            one.kwargs.setdefault("deadline", monotonic() + self._timeout)
        return self._mode.call_concurrently(list(map(self._call_pair, calls)))

    def close(self) -> None:
        """Close the store."""
        self._mode.call(self._call_pair(MethodCall("close", (), {})))

    def _call_pair(self, call: MethodCall) -> CallPair:
        method, args, kwargs = call.method, call.args, call.kwargs
        return CallPair(
            lambda: _result(getattr(self.store, method)(*args, **kwargs)),
            lambda: getattr(self._stores.async_store, method)(*args, **kwargs),
        )

    def call_default(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call the default of the base class instead of the store's own method."""
        kwargs.setdefault("deadline", monotonic() + self._timeout)
        return self._mode.call(
            CallPair(
                lambda: _result(_default(self.store, method)(*args, **kwargs)),
                lambda: getattr(AsyncStore, method)(self._stores.async_store, *args, **kwargs),
            )
        )

    def wipe(self) -> None:
        """Clear the spaces that were used, as far as that works."""
        for space in self._used_spaces:
            with suppress(Exception):
                self.clear(space)


def _default(store: Store | AsyncStore, method: str) -> Any:
    base = Store if isinstance(store, Store) else AsyncStore
    return partial(getattr(base, method), store)


def _result(returned: Any) -> Any:
    """Return what a blocking store of either kind returned."""
    return run_sync(returned) if iscoroutine(returned) else returned


def _listing(pages: Any) -> Any:
    return lambda *args, **kwargs: list(pages(*args, **kwargs))


def _async_listing(pages: Any) -> Any:
    async def listed(*args: Any, **kwargs: Any) -> list[str]:
        return [key async for key in pages(*args, **kwargs)]

    return listed


@attrs.define(kw_only=True)
class MemoryFactory:
    """Creates memories for one test, under a key prefix of the test's own."""

    config: dict[str, Any]
    mode: CallMode
    prefix: str
    _under_test: list[MemoryUnderTest | StoreUnderTest] = attrs.field(factory=list)
    _workflows: list[Workflow] = attrs.field(factory=list)

    def new_workflow(self, name: str = "w", *, prefix: str = "", **config: Any) -> Workflow:
        """Return a workflow, closed after the test; ``prefix`` follows the test's own."""
        settings: dict[str, Any] = {**self.config, "key_prefix": self.prefix + prefix, **config}
        organization = settings.pop("organization_id", None)
        workflow = Workflow(name, MemoryConfig(**settings), organization_id=organization)
        self._workflows.append(workflow)
        return workflow

    def memory_of(self, workflow: Workflow, mode: CallMode | None = None) -> MemoryManager:
        """Return the workflow's memory, in the test's mode or another one."""
        memory = MemoryUnderTest(workflow.memory, mode or self.mode)
        self._under_test.append(memory)
        return cast(MemoryManager, memory)

    def new_memory(self, name: str = "w", *, prefix: str = "", **config: Any) -> MemoryManager:
        """Return the memory of a new workflow, in the test's mode."""
        return self.memory_of(self.new_workflow(name, prefix=prefix, **config))

    def new_store(self, workflow: Workflow | None = None) -> StoreUnderTest:
        """Return the store itself, or that of a workflow, in the test's mode."""
        memory = (workflow or self.new_workflow()).memory
        store = StoreUnderTest(memory, self.prefix, self.mode, self.config["timeout"])
        self._under_test.append(store)
        return store

    def settings(self) -> StoreSettings:
        """Return what core passes to the backend's hook. A Store object has none."""
        if isinstance(self.config["backend"], Store):
            not_applicable("the backend is a Store object")
        url = self.config["connection_url"]
        return StoreSettings(
            url=None if url is None else StoreURL.parse(url),
            options=self.config["options"],
            timeout=self.config["timeout"],
        )

    def passwords(self) -> set[str]:
        """Return the password of the URL: itself, as a URL writes it, and as a repr shows it."""
        url = self.config["connection_url"]
        password = StoreURL.parse(url).password if url else None
        return {password, quote(password, safe=""), repr(password)[1:-1]} if password else set()

    def call_hook(self, settings: StoreSettings) -> Backend:
        """Return the backend for the settings."""
        plugin = find_plugin("storage", self.config["backend"])
        return cast(Backend, plugin.call_hook(settings, Backend))

    def close(self) -> None:
        """Remove what the test wrote, and close what it opened."""
        for wrapper in self._under_test:
            wrapper.wipe()
        for workflow in self._workflows:
            with suppress(Exception):
                close_workflow(workflow, self.mode)


def close_workflow(workflow: Workflow, mode: CallMode) -> None:
    """Close a workflow in the given mode."""
    mode.call(CallPair(workflow.close, workflow.aclose))


class ContractFixtures(ModeFixtures):
    """What a contract's class may set, and the fixtures of its tests."""

    backend: str | Store
    """The backend's name, as users write it; or a Store."""
    url: Any = None
    """The connection URL. A property will do as well, or a fixture of this name."""
    server_address: str | None = None
    """The server as the URL writes it (``host:port``), if it is not the URL's host."""
    options: Mapping[str, Any] = {}
    """The backend's own options."""

    timeout: ClassVar[float] = 10.0
    """Seconds for one request; generous, as contended records are retried until then."""
    short_ttl: ClassVar[float] = 0.03
    """Seconds that a record lives whose expiry a test waits for."""
    expiry_slack: ClassVar[float] = 0.02
    """Seconds to wait beyond an expiry; more for a store whose clock is coarse."""
    bulk_size: ClassVar[int] = 2_500
    """Records of a space that is listed and cleared in several pages."""
    max_examples: ClassVar[int] = 15
    """Random histories that the stateful test tries."""
    shrink_failures: ClassVar[bool] = False
    """Whether to shorten a history that fails; it may take minutes."""

    fibonacci_contract: ClassVar[str] = "StoreContract"

    @classmethod
    def longest_call(cls) -> float:
        """Return the timeout."""
        return cls.timeout

    @pytest.fixture(scope="class")
    @classmethod
    def open_workflows(cls, mode: CallMode) -> Iterator[list[Workflow]]:
        """A workflow that keeps the store open from test to test: connecting may take long."""
        open_workflows: list[Workflow] = []
        yield open_workflows
        with cls.new_watchdog():
            for workflow in open_workflows:
                close_workflow(workflow, mode)

    @pytest.fixture
    def memory_factory(
        self, request: pytest.FixtureRequest, mode: CallMode, open_workflows: list[Workflow]
    ) -> Iterator[MemoryFactory]:
        """Creates memories for this test."""
        url = self.url if isinstance(self.url, str | None) else request.getfixturevalue("url")
        config: dict[str, Any] = {
            "backend": self.backend,
            "connection_url": url,
            "options": self.options,
            "timeout": self.timeout,
        }
        open_workflows.append(Workflow("open", MemoryConfig(**config)))
        for workflow in open_workflows[:-1]:
            close_workflow(workflow, mode)
            open_workflows.remove(workflow)
        memory_factory = MemoryFactory(config=config, mode=mode, prefix=f"t{token_hex(5)}:")
        yield memory_factory
        memory_factory.close()

    @pytest.fixture
    def memory(self, memory_factory: MemoryFactory) -> MemoryManager:
        """The memory of a workflow, with nothing in it."""
        return memory_factory.new_memory()

    @pytest.fixture
    def raw_store(self, memory_factory: MemoryFactory) -> StoreUnderTest:
        """The store under test, with nothing in it under this test's prefix."""
        return memory_factory.new_store()

    @property
    def short_ttl_ms(self) -> int:
        """The short ttl, in milliseconds."""
        return round(self.short_ttl * 1000)

    def wait_for_expiry(self) -> None:
        """Wait until what was written with the short ttl has expired."""
        time.sleep(self.short_ttl + self.expiry_slack)
