"""The registry of broken stores."""

from fibonacci.plugin import AsyncStore

BROKEN = {}
BROKEN_ASYNC = {}


def broken(clause):
    """Register a store; the clause is the one whose tests must catch it."""

    def enter(store):
        store.clause = clause
        (BROKEN_ASYNC if issubclass(store, AsyncStore) else BROKEN)[store.__name__] = store
        return store

    return enter
