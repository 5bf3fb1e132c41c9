"""Conformance suites: what a plugin has to keep, as tests that anyone can run.

::

    from fibonacci.testing import StoreContract

    class TestShelf(StoreContract):
        backend = "shelf"
        url = "shelf:///tmp/x"

It needs pytest and hypothesis: ``pip install 'fibonacci-core[testing]'``.
``pytest --fibonacci-report`` adds a table of the clauses and how each was kept.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fibonacci.testing.store import StoreContract

__all__ = ["StoreContract"]


def __getattr__(name: str) -> Any:
    # Lazily: pytest imports this package at every start, for the plugin, and must not pay for
    # hypothesis where nobody tests a store.
    if name != "StoreContract":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite("fibonacci.testing.store")
    from fibonacci.testing import store

    return store.StoreContract
