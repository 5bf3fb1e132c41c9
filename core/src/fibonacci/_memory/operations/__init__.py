"""The operations of a memory. Each exists twice: ``get`` for sync code, ``aget`` for async code.

The logic is in the async method, which awaits nothing but a store. The sync method runs it to its
end over a blocking store, whose coroutines never suspend.
"""
