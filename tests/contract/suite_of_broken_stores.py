"""StoreContract on broken stores, a class each, and on the sound one that they derive from.

Of a broken store only the tests of the clause that it breaks are run: one of them has to fail.
"""

import pytest
from broken import BROKEN, BROKEN_ASYNC
from minimal import MinimalStore, toy_plugin

from fibonacci import register_plugin
from fibonacci.testing import StoreContract
from fibonacci.testing.clauses import cited_clauses
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
    is_async: bool

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def plugin(cls):
        plugin = toy_plugin(MinimalStore(), cls.store) if cls.is_async else toy_plugin(cls.store())
        with register_plugin("storage", cls.backend, plugin):
            yield


def suite(name, contract, **settings):
    """Return the contract's class for one store."""
    is_async = name in BROKEN_ASYNC
    modes = ["async"] if is_async else ["sync"]
    settings["hang_slack"] = getattr(STORES[name], "hang_slack", StoreContract.hang_slack)
    settings |= {"backend": name, "store": STORES[name], "is_async": is_async, "modes": modes}
    return type(f"Test{name}", (Hasty, contract), settings)


def without_clause(clause):
    """Return the tests to leave out.

    Those that do not cite the clause, and histories, which can fail for any clause.
    """
    others = [test for test in TESTS if clause not in cited_clauses(getattr(StoreContract, test))]
    return dict.fromkeys([*others, "test_any_history"])


for _name in [*BROKEN, *BROKEN_ASYNC]:
    _left_out = without_clause(STORES[_name].clause)
    globals()[f"Test{_name}"] = suite(_name, StoreContract, **_left_out)

for _name in HISTORIES:
    # As many as it takes: what is drawn depends on all constants of the sources.
    globals()[f"TestHistory{_name}"] = suite(_name, HistoryTests, max_examples=400)

SOUND = ["MinimalStore"]
DEFECTS = [*BROKEN, *BROKEN_ASYNC, *(f"History{name}" for name in HISTORIES)]
TestMinimalStore = suite("MinimalStore", StoreContract, test_any_history=None)
