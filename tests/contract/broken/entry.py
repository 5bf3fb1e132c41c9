"""The list of broken stores."""

from minimal import MinimalStore

BROKEN = {}
BROKEN_ASYNC = {}


def broken(clause):
    """Enter a store in the list; the clause is the one that has to catch it."""

    def enter(store):
        store.clause = clause
        (BROKEN if issubclass(store, MinimalStore) else BROKEN_ASYNC)[store.__name__] = store
        return store

    return enter
