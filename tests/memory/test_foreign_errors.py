"""Exceptions of a store that are none of Fibonacci's: StorageErrors without text and chain."""

import asyncio
import gc
import signal
import traceback
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    MemoryConfig,
    MemoryManager,
    StorageError,
    ValueTooLargeError,
    Workflow,
    register_plugin,
)
from fibonacci._memory.store_handle import stores_of
from fibonacci.plugin import Address, AsyncStore, Backend, Space, Store, StoreSettings, hookimpl
from fibonacci.plugin.storage import BlockingStore

from .failing_store import FailingStore

SECRET = "canary-3f9a"

CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "read": ("get", ("old",)),
    "read_many": ("get_many", (["old"],)),
    "exists": ("exists", ("old",)),
    "remaining_ttl_ms": ("ttl", ("old",)),
    "scan": ("list_keys", ()),
    "write": ("set", ("old", 2)),
    "write_many": ("set_many", ({"old": 2},)),
    "touch": ("touch", ("old", 60)),
    "clear": ("clear", ()),
    "remove": ("delete", ("old",)),
    "remove_many": ("delete_many", (["old"],)),
    "compare_and_set": ("append", ("turns", 1)),
}
"""For each method of a store: a method of the memory that calls it, with arguments."""
READS = {"read", "read_many", "exists", "remaining_ttl_ms", "scan"}
MODES = ("sync", "threads", "async")

Call = Callable[..., Any]


class AsyncFailingStore(BlockingStore):
    """The failing store as one for async code."""

    _is_blocking = False


class DrawerPlugin:
    """A third party's plugin: its stores are views of one failing store."""

    FIBONACCI_SPEC_VERSION = 1

    def __init__(self, store: FailingStore, mode: str) -> None:
        self.store = store
        self.mode = mode

    @hookimpl
    def fibonacci_storage(self, settings: StoreSettings) -> Backend:
        plugin = self

        class Drawers(Backend):
            def create_store(self) -> Store:
                return plugin.store

            def create_async_store(self) -> AsyncStore | None:
                return AsyncFailingStore(plugin.store) if plugin.mode == "async" else None

        return Drawers()


@pytest.fixture(params=[True, False], ids=["retried", "never retried"])
def store(request: pytest.FixtureRequest) -> FailingStore:
    """A store of a third party, whose errors may be transient, or never are."""
    store = FailingStore()
    store.retry_transient_errors = request.param
    store._in_process = False
    store._needs_guard = True
    return store


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How the store is called: by sync code, by async code in worker threads, or natively."""
    return str(request.param)


@pytest.fixture
def memory(store: FailingStore, mode: str) -> Iterator[MemoryManager]:
    """A memory in the store, with one record in it, which sync code wrote."""
    plugin = DrawerPlugin(store, mode)
    with (
        register_plugin("storage", "drawers", plugin),
        Workflow("w", MemoryConfig("drawers")) as workflow,
    ):
        workflow.memory.set("old", 1)
        yield workflow.memory
        store.fail_next("")


@pytest.fixture
def call(memory: MemoryManager, mode: str) -> Call:
    """Call a method of the memory in the test's mode."""

    def call(name: str, *args: Any) -> Any:
        if mode == "sync":
            return getattr(memory, name)(*args)

        async def main() -> Any:
            return await getattr(memory, "a" + name)(*args)

        return asyncio.run(main())

    return call


def check_hidden(error: BaseException) -> None:
    """Check that an error is a StorageError that shows and chains nothing of the driver's."""
    assert type(error) is StorageError
    assert error.__cause__ is None
    # The end of a loop closes a store within a generator, and two stores may be closed in a row.
    assert isinstance(error.__context__, GeneratorExit | StorageError | None)
    assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("method", CALLS)
def test_exception_of_a_store_is_a_storage_error(method: str, store: FailingStore, call: Call):
    """A driver's exception becomes a StorageError that names type and line, and no text (C23)."""
    store.fail_next(method, OSError(f"mariadb://u:{SECRET}@host refused {SECRET}"))
    name, args = CALLS[method]
    with pytest.raises(StorageError) as caught:
        call(name, *args)
    check_hidden(caught.value)
    message = str(caught.value)
    assert message.startswith(f"{method} of ")
    assert ("may have been applied" in message) is (method not in READS)
    assert "the backend raised OSError, in line " in message
    assert f" of {FailingStore.__module__}, instead of one of Fibonacci's errors" in message


def test_exception_of_a_check_is_a_storage_error(
    store: FailingStore, memory: MemoryManager, mode: str
):
    """What check_size raises becomes a StorageError, too, and stays one of Fibonacci's if it is."""
    history, content = memory.history("chat", user_id="ada"), "x" * 3_000
    refused = ValueTooLargeError("3,000 bytes, of 1", size=3_000, limit=1)

    def add() -> bool:
        if mode == "sync":
            return history.add(user=content)

        async def main() -> bool:
            return await history.aadd(user=content)

        return asyncio.run(main())

    assert add()
    assert add()
    store.fail_next("check_size", OSError(f"mariadb://u:{SECRET}@host refused"), refused)
    with pytest.raises(StorageError, match=r"^check_size of a record in user scope failed: the"):
        add()
    with pytest.raises(ValueTooLargeError) as caught:
        add()
    assert caught.value is refused
    assert store.calls == 2
    assert add()
    assert history.count() == 3


@pytest.mark.parametrize("error", [TimeoutError, ConnectionResetError, IndexError, KeyError])
def test_exception_of_a_store_is_not_retried(
    error: type[Exception], store: FailingStore, call: Call
):
    """An exception that is none of Fibonacci's decides nothing about the outcome: no retry."""
    for method in ("read", "write"):
        name, args = CALLS[method]
        store.fail_next(method, error(SECRET))
        with pytest.raises(StorageError, match=error.__name__) as caught:
            call(name, *args)
        check_hidden(caught.value)
        assert store.calls == 1
    assert call("get", "old") == 1


def test_stores_of_a_memory_raise_it(store: FailingStore, memory: MemoryManager, mode: str):
    """stores_of() returns what the backend created, so that a contract suite sees its exceptions.

    Neither core's retries nor its translation of exceptions are in them.
    """
    stores, address = stores_of(memory), Address(Space("fibonacci:", "workflow", "w"), "old")
    store.fail_next("read", OSError("refused"), BackendUnavailableError("away"))

    async def read() -> bytes | None:
        return await stores.async_store.read(address, deadline=inf)

    def call() -> Any:
        if mode == "sync":
            return stores.blocking_store.read(address, deadline=inf)
        return asyncio.run(read())

    with pytest.raises(OSError, match="refused"):
        call()
    with pytest.raises(BackendUnavailableError):
        call()
    assert call() == b"1"


@pytest.mark.parametrize("store", [True], indirect=True)
def test_exception_of_a_retry_is_a_storage_error(store: FailingStore, call: Call):
    """A driver's exception in a later attempt becomes a StorageError, too."""
    store.fail_next("read", BackendUnavailableError("away"), ValueError(SECRET))
    with pytest.raises(StorageError, match="the backend raised ValueError") as caught:
        call("get", "old")
    check_hidden(caught.value)
    assert store.calls == 2


def test_writers_go_on_after_an_exception(store: FailingStore, call: Call):
    """The next change of a record succeeds after one whose store raised an exception."""
    store.fail_next("compare_and_set", RuntimeError(SECRET))
    with pytest.raises(StorageError):
        call("increment", "n")
    assert call("increment", "n") == 1


def test_error_of_fibonacci_is_raised_as_it_is(store: FailingStore, call: Call):
    """A store's FibonacciError comes out unchanged, with the driver's exception as its cause."""
    error = StorageError("disk full")
    error.__cause__ = OSError("no space left")
    store.fail_next("read", error)
    with pytest.raises(StorageError) as caught:
        call("get", "old")
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_base_exception_is_raised_as_it_is(error: Any, store: FailingStore) -> None:
    """KeyboardInterrupt, SystemExit and CancelledError of a store's method come out unchanged."""
    memory = Workflow("w", MemoryConfig(store)).memory
    store.fail_next("read", error("now"))
    with pytest.raises(error, match="now"):
        memory.get("old")


class TimeIsUpError(Exception):
    """What a job's time limit raises."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """A function that is interrupted by a signal, whose handler raises TimeIsUpError."""

    def handler(*_: object) -> None:
        raise TimeIsUpError

    previous = signal.signal(signal.SIGTERM, handler)
    yield lambda: signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, previous)


def test_exception_of_a_signal_handler_is_raised_as_it_is(
    store: FailingStore, interrupt: Callable[[], None]
):
    """What a signal handler raises within a store's method comes out unchanged (C19)."""
    memory = Workflow("w", MemoryConfig(store)).memory
    store.before = interrupt
    store.fail_next("read")
    with pytest.raises(TimeIsUpError) as caught:
        memory.get("old")
    assert caught.value.__context__ is None


class Transaction:
    """Ends when it is collected."""


def test_interrupted_method_is_freed_at_once(store: FailingStore, interrupt: Callable[[], None]):
    """What an interrupted method of a store holds does not wait for the garbage collector (C19)."""
    memory = Workflow("w", MemoryConfig(store)).memory
    transactions = []

    def read() -> None:
        transaction = Transaction()
        transactions.append(weakref.ref(transaction))
        interrupt()

    store.before = read
    store.fail_next("read")
    gc.disable()
    try:
        with suppress(TimeIsUpError):
            memory.get("old")
        assert [reference() for reference in transactions] == [None]
    finally:
        gc.enable()


def test_exception_of_fn_is_raised_as_it_is(store: FailingStore, call: Call):
    """What the function of update() raises comes out unchanged: it is the application's."""

    def fn(_: Any) -> Any:
        raise TimeIsUpError

    with pytest.raises(TimeIsUpError):
        call("update", "old", fn)


@pytest.mark.parametrize("mode", ["async"], indirect=True)
def test_cancelled_call_raises_cancelled_error(
    store: FailingStore, memory: MemoryManager, monkeypatch: pytest.MonkeyPatch
):
    """A call that is cancelled, or runs out of an asyncio.timeout, is no failure of the store."""

    async def wait(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(AsyncFailingStore, "read", wait)

    async def use() -> None:
        task = asyncio.ensure_future(memory.aget("old"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await memory.aget("old")

    asyncio.run(use())


@pytest.mark.parametrize("mode", ["sync"], indirect=True)
def test_exception_of_close_is_a_storage_error(store: FailingStore, memory: MemoryManager):
    """An exception of close() of the store for sync code becomes a StorageError."""
    store.fail_next("close", OSError(SECRET))
    with pytest.raises(StorageError, match="the backend failed to close: OSError, in") as caught:
        memory.close()
    check_hidden(caught.value)


async def close_here(memory: MemoryManager) -> None:
    with pytest.raises(StorageError, match="the backend failed to close: OSError, in") as caught:
        await memory.aclose()
    check_hidden(caught.value)


async def close_from_a_thread(memory: MemoryManager) -> None:
    with pytest.raises(StorageError, match="the backend failed to close: OSError, in") as caught:
        await asyncio.to_thread(memory.close)  # that of the store for sync code
    check_hidden(caught.value)


async def leave_open(memory: MemoryManager) -> None:
    """Close nothing: the end of the event loop does."""


@pytest.mark.parametrize("mode", ["async"], indirect=True)
@pytest.mark.parametrize(
    ("end", "reports"), [(close_here, 0), (close_from_a_thread, 1), (leave_open, 1)]
)
def test_exception_of_close_for_async_code_is_a_storage_error(
    end: Callable[[MemoryManager], Awaitable[None]],
    reports: int,
    store: FailingStore,
    memory: MemoryManager,
):
    """Closed by its user, by sync code or by its event loop, a store raises a StorageError."""
    reported: list[dict[str, Any]] = []

    async def use() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        assert await memory.aget("old") == 1
        store.fail_next("close", OSError(SECRET), OSError(SECRET))
        await end(memory)

    asyncio.run(use())
    assert len(reported) == reports
    for context in reported:
        check_hidden(context["exception"])
        assert SECRET not in str(context)
