"""The async voice of a backend that has only a sync store: its calls run in worker threads."""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from fibonacci.errors import StorageError
from fibonacci.plugin.storage import AsyncStore, Store

WORKERS: Final = 8
"""Threads, and so calls at once, for one store."""


def _in_thread(name: str) -> Any:
    async def call(store: "Threaded", *args: Any, **kwargs: Any) -> Any:
        import asyncio  # only async programs pay for it: 62 ms

        method: Callable[..., Any] = getattr(store.store, name)
        work = partial(copy_context().run, method, *args, **kwargs)
        try:
            answer: Awaitable[Any] = asyncio.get_running_loop().run_in_executor(store.workers, work)
        except RuntimeError:  # the workers are shut down
            raise StorageError("this memory was closed while it was in use") from None
        return await answer

    return call


class Threaded(AsyncStore):
    """A sync store, awaited. It belongs to no event loop, and so serves all of them.

    A caller that is cancelled stops waiting; its call goes on in the thread, to its deadline.
    """

    def __init__(self, store: Store) -> None:
        """Wrap the store; closing this leaves it open."""
        from concurrent.futures import ThreadPoolExecutor  # 5 ms that few programs need

        self.store = store
        self.remote = store.remote
        self.workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="fibonacci")

    read = _in_thread("read")
    write = _in_thread("write")
    compare_and_set = _in_thread("compare_and_set")
    remove = _in_thread("remove")
    remaining = _in_thread("remaining")
    scan = _in_thread("scan")
    read_many = _in_thread("read_many")
    write_many = _in_thread("write_many")
    remove_many = _in_thread("remove_many")
    exists = _in_thread("exists")
    touch = _in_thread("touch")
    clear = _in_thread("clear")

    async def close(self) -> None:
        self.workers.shutdown(wait=False)
