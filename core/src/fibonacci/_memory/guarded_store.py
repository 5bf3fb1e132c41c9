"""A store that raises only Fibonacci's errors, whatever its backend raises."""

from typing import Any

from fibonacci._memory.foreign_errors import foreign_error
from fibonacci.errors import FibonacciError
from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.address import Address
from fibonacci.plugin.storage import AsyncStore


def _guarded(name: str) -> Any:
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

    read = _guarded("read")
    write = _guarded("write")
    compare_and_set = _guarded("compare_and_set")
    remove = _guarded("remove")
    remaining_ttl_ms = _guarded("remaining_ttl_ms")
    scan = _guarded("scan")
    close = _guarded("close")
    read_many = _guarded("read_many")
    write_many = _guarded("write_many")
    remove_many = _guarded("remove_many")
    exists = _guarded("exists")
    touch = _guarded("touch")
    clear = _guarded("clear")

    def check_size(self, address: Address, data: bytes) -> None:
        try:
            self.store.check_size(address, data)
        except FibonacciError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            raise_for_signal(error)
            origin = error_origin(error)
        else:
            return
        raise foreign_error("check_size", (address,), origin)

    async def _sleep(self, seconds: float) -> None:
        await self.store._sleep(seconds)
