"""The list of broken stores."""

from fibonacci.plugin import AsyncStore

BROKEN = {}
BROKEN_ASYNC = {}


def broken(clause):
    """Enter a store in the list; the clause is the one that has to catch it."""

    def enter(store):
        store.clause = clause
        (BROKEN_ASYNC if issubclass(store, AsyncStore) else BROKEN)[store.__name__] = store
        return store

    return enter
