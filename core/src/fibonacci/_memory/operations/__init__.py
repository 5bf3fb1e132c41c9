"""The verbs, each written once, as a coroutine that awaits nothing but a store.

The async verb is the coroutine itself; :func:`~fibonacci._memory.operations.verbs.in_sync` makes
the sync one of it.
"""
