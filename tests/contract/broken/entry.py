"""The registry of broken stores."""

from fibonacci.plugin import AsyncStore

BROKEN = {}
BROKEN_ASYNC = {}


def broken(*tests):
    """Register a store; each of the tests has to find its defect."""

    def enter(store):
        store.tests = tests
        (BROKEN_ASYNC if issubclass(store, AsyncStore) else BROKEN)[store.__name__] = store
        return store

    return enter
