"""A server in this process that compares versions, and the stores that use it."""

import time
from itertools import count

from forks import lock_over_forks

from fibonacci.plugin import (
    ABSENT,
    AsyncVersionedStore,
    Page,
    VersionedRecord,
    VersionedStore,
    is_unexpired,
)


class VersionStore(VersionedStore[int]):
    """Records by address, each with the number of the write that created it."""

    retry_transient_errors = False

    def __init__(self):
        self.records = {}
        self.numbers = count(1)
        self.lock = lock_over_forks()

    def read_record(self, address, *, deadline):
        found = self.records.get(address)
        time.sleep(0)  # others come between, as they do on the way to a server
        return found

    def holds(self, address, version):
        """Return whether the condition holds."""
        found = self.records.get(address)
        return version is None or version == (found.version if found else ABSENT)

    def write_if(self, address, version, data, expires, *, deadline):
        with self.lock:
            if not self.holds(address, version):
                return False
            number = next(self.numbers)
            self.records[address] = VersionedRecord(data=data, version=number, expires=expires)
            return True

    def remove_if(self, address, version, *, deadline):
        with self.lock:
            if not self.holds(address, version):
                return False
            del self.records[address]
            return True

    def listed(self, record):
        return is_unexpired(record.expires)

    def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        keys = sorted(
            address.key
            for address, record in list(self.records.items())
            if address.space == space and address.key.startswith(prefix) and self.listed(record)
        )
        rest = [key for key in keys if cursor is None or key > cursor]
        return Page(rest[:limit], rest[limit - 1] if len(rest) > limit else None)

    def close(self):
        pass


class AsyncVersionStore(AsyncVersionedStore[int]):
    """The async counterpart, on the records of a sync store."""

    def __init__(self, store):
        self.store = store

    async def read_record(self, address, *, deadline):
        return self.store.read_record(address, deadline=deadline)

    async def write_if(self, address, version, data, expires, *, deadline):
        return self.store.write_if(address, version, data, expires, deadline=deadline)

    async def remove_if(self, address, version, *, deadline):
        return self.store.remove_if(address, version, deadline=deadline)

    async def scan(self, space, *, prefix="", cursor=None, limit=1000, deadline):
        return self.store.scan(space, prefix=prefix, cursor=cursor, limit=limit, deadline=deadline)

    async def close(self):
        pass
