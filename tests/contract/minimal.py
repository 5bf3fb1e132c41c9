"""The smallest stores that keep the contract: the seven primitives on a dict."""

import math
import time
from types import SimpleNamespace

from forks import lock_over_forks

from fibonacci.plugin import (
    ABSENT,
    KEEP_TTL,
    AsyncStore,
    Backend,
    Page,
    Store,
    hookimpl,
    read_options,
)


class MinimalStore(Store):
    """Bytes and expiry by address, in one dict, under one lock."""

    def __init__(self):
        self.records = {}
        self.lock = lock_over_forks()

    def record_key(self, address):
        """Return the dict's key of a record."""
        return address

    def now(self):
        return time.monotonic()

    def found(self, address):
        """Return the live record, or None."""
        record = self.records.get(self.record_key(address))
        return record if record and self.now() < record[1] else None

    def expiry(self, ttl_ms):
        return math.inf if ttl_ms is None else self.now() + ttl_ms / 1000

    def put(self, address, data, expires):
        self.records[self.record_key(address)] = (data, expires, address)

    def inside(self, space):
        """Return the live records of a space, by key."""
        return {
            address.key: record
            for record in list(self.records.values())
            for address in [record[2]]
            if address.space == space and self.found(address)
        }

    def read(self, address, *, deadline):
        record = self.found(address)
        return record[0] if record else None

    def write(self, address, data, ttl_ms, *, deadline):
        with self.lock:
            self.put(address, data, self.expiry(ttl_ms))

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found, expires, _ = self.found(address) or (ABSENT, math.inf, None)
            if found != expected:
                return False
            self.put(address, data, expires if ttl_ms is KEEP_TTL else self.expiry(ttl_ms))
            return True

    def remove(self, address, *, deadline):
        with self.lock:
            live = self.found(address)
            self.records.pop(self.record_key(address), None)
            return live is not None

    def remaining_ttl_ms(self, address, *, deadline):
        record = self.found(address)
        if record is None:
            return ABSENT
        return None if record[1] == math.inf else math.ceil((record[1] - self.now()) * 1000)

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        with self.lock:
            keys = sorted(key for key in self.inside(space) if key.startswith(prefix))
        rest = [key for key in keys if cursor is None or key > cursor]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)

    def close(self):
        pass


class MinimalAsyncStore(AsyncStore):
    """The async counterpart, on the records of a minimal store."""

    def __init__(self, store):
        self.store = store

    async def read(self, address, *, deadline):
        return self.store.read(address, deadline=deadline)

    async def write(self, address, data, ttl_ms, *, deadline):
        self.store.write(address, data, ttl_ms, deadline=deadline)

    async def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        return self.store.compare_and_set(address, expected, data, ttl_ms, deadline=deadline)

    async def remove(self, address, *, deadline):
        return self.store.remove(address, deadline=deadline)

    async def remaining_ttl_ms(self, address, *, deadline):
        return self.store.remaining_ttl_ms(address, deadline=deadline)

    async def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        return self.store.scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)

    def check_size(self, address, data):
        self.store.check_size(address, data)

    async def close(self):
        pass


class ToyBackend(Backend):
    """A backend whose store outlives its users."""

    def __init__(self, store, async_store=None):
        self.store = store
        self.async_store = async_store

    def create_store(self):
        return self.store

    def create_async_store(self):
        return self.async_store(self.store) if self.async_store else None


def toy_plugin(store, async_store=None):
    """Return a plugin for ``register_plugin``, with one store for the whole process."""

    @hookimpl
    def fibonacci_storage(settings):
        read_options(settings, {})
        return ToyBackend(store, async_store)

    return SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_storage=fibonacci_storage)
