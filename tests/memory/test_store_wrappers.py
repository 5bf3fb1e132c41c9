"""The classes that wrap a store: each method of AsyncStore is passed on."""

import inspect

import pytest

from fibonacci._memory.guarded_store import GuardedStore
from fibonacci._memory.retries import RetryingStore
from fibonacci._memory.thread_pool_store import ThreadPoolStore
from fibonacci.plugin import AsyncStore
from fibonacci.plugin.storage import BlockingStore

METHODS = {
    name
    for name, method in vars(AsyncStore).items()
    if inspect.isfunction(method) and not name.startswith("_")
} - {"pause"}


@pytest.mark.parametrize("wrapper", [BlockingStore, GuardedStore, RetryingStore, ThreadPoolStore])
def test_each_method_is_passed_on(wrapper: type[AsyncStore]) -> None:
    """A wrapper has a version of each method: AsyncStore's default would be used silently."""
    assert {"read", "read_many", "touch", "check_size", "close"} <= METHODS
    assert {
        name for name in METHODS if getattr(wrapper, name) is getattr(AsyncStore, name)
    } == set()
