"""A third-party plugin: a store with the seven primitives."""

from math import ceil
from threading import RLock
from time import monotonic

from fibonacci.plugin import ABSENT, KEEP_TTL, Backend, Page, Store, hookimpl, read_options

FIBONACCI_SPEC_VERSION = 1


class ShelfStore(Store):
    clock = "client"

    def __init__(self):
        self.lock = RLock()
        self.records = {}

    def live(self, address):
        data, expires = self.records.get(address, (None, None))
        return (None, None) if expires is not None and monotonic() >= expires else (data, expires)

    def put(self, address, data, ttl_ms):
        self.records[address] = (data, None if ttl_ms is None else monotonic() + ttl_ms / 1000)

    def read(self, address, *, deadline):
        return self.live(address)[0]

    def write(self, address, data, ttl_ms, *, deadline):
        with self.lock:
            self.put(address, data, ttl_ms)

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found, expires = self.live(address)
            if found != (None if expected is ABSENT else expected):
                return False
            if ttl_ms is KEEP_TTL:
                self.records[address] = (data, expires)
            else:
                self.put(address, data, ttl_ms)
            return True

    def remove(self, address, *, deadline):
        with self.lock:
            was_live = self.live(address)[0] is not None
            self.records.pop(address, None)
            return was_live

    def remaining_ttl_ms(self, address, *, deadline):
        data, expires = self.live(address)
        if data is None:
            return ABSENT
        return None if expires is None else max(1, ceil((expires - monotonic()) * 1000))

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        with self.lock:
            keys = sorted(
                address.key
                for address in self.records
                if address.space == space
                and address.key.startswith(prefix)
                and (cursor is None or address.key > cursor)
                and self.live(address)[0] is not None
            )
        return Page(keys[:limit], keys[limit - 1] if len(keys) > limit else None)

    def close(self):
        pass


class ShelfBackend(Backend):
    def __init__(self):
        self.store = ShelfStore()

    def create_store(self):
        return self.store


@hookimpl
def fibonacci_storage(settings):
    read_options(settings, {})
    return ShelfBackend()
