"""StoreContract on broken stores, a class each, and on the sound one that they derive from.

Of a broken store only the tests that have to find its defect are run.
"""

import pytest
from broken import BROKEN, BROKEN_ASYNC
from minimal import MinimalStore, toy_plugin

from fibonacci import register_plugin
from fibonacci.plugin import AsyncStore
from fibonacci.testing import StoreContract
from fibonacci.testing.store.stateful import HistoryTests

STORES = {**BROKEN, **BROKEN_ASYNC, "MinimalStore": MinimalStore}
HISTORIES = ["FoldsCase", "WriteKeepsExpiry", "ListsUnsorted", "CountsAllRemoved"]
TESTS = [name for name in dir(StoreContract) if name.startswith("test_")]


class Hasty:
    """Settings for stores that respond at once."""

    timeout = 0.5
    short_ttl = expiry_slack = 0.01
    bulk_size = 1_100

    backend: str
    store: type

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        with register_plugin("storage", cls.backend, plugin_of(cls.store)):
            yield


def plugin_of(store):
    """Return a plugin for the store."""
    if hasattr(store, "plugin"):
        return store.plugin()
    if issubclass(store, AsyncStore):
        return toy_plugin(MinimalStore(), store)
    return toy_plugin(store())


def suite(name, contract, **settings):
    """Return the contract's class for one store."""
    settings |= {"modes": ["async"] if name in BROKEN_ASYNC else ["sync"]}
    settings |= {"url": getattr(STORES[name], "url", None)}
    settings["hang_slack"] = getattr(STORES[name], "hang_slack", StoreContract.hang_slack)
    settings |= {"backend": name, "store": STORES[name]}
    return type(f"Test{name}", (Hasty, contract), settings)


for _name in [*BROKEN, *BROKEN_ASYNC]:
    _left_out = dict.fromkeys(test for test in TESTS if test not in STORES[_name].tests)
    globals()[f"Test{_name}"] = suite(_name, StoreContract, **_left_out)

for _name in HISTORIES:
    # As many as it takes: what is drawn depends on all constants of the sources.
    globals()[f"TestHistory{_name}"] = suite(_name, HistoryTests, max_examples=400)

SOUND = ["MinimalStore"]
DEFECTS = {name: STORES[name].tests for name in [*BROKEN, *BROKEN_ASYNC]}
DEFECTS |= {f"History{name}": ("test_any_history",) for name in HISTORIES}
TestMinimalStore = suite("MinimalStore", StoreContract, test_any_history=None)
