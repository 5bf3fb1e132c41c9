"""A store that raises only Fibonacci's errors, whatever its backend raises."""

from typing import Any

from fibonacci._memory.foreign_errors import foreign_error
from fibonacci.errors import FibonacciError
from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.storage import AsyncStore


def guarded(name: str) -> Any:
    async def call(store: "GuardedStore", *args: Any, **kwargs: Any) -> Any:
        try:
            return await getattr(store.store, name)(*args, **kwargs)
        except FibonacciError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            raise_for_signal(error)
            origin = error_origin(error)
        raise foreign_error(name, args, origin)

    return call


class GuardedStore(AsyncStore):
    """A store of any backend; an exception that is none of Fibonacci's becomes a StorageError."""

    def __init__(self, store: AsyncStore) -> None:
        """Wrap the store."""
        self.store = store

    read = guarded("read")
    write = guarded("write")
    compare_and_set = guarded("compare_and_set")
    remove = guarded("remove")
    remaining_ttl_ms = guarded("remaining_ttl_ms")
    scan = guarded("scan")
    close = guarded("close")
    read_many = guarded("read_many")
    write_many = guarded("write_many")
    remove_many = guarded("remove_many")
    exists = guarded("exists")
    touch = guarded("touch")
    clear = guarded("clear")

    async def _sleep(self, seconds: float) -> None:
        await self.store._sleep(seconds)
