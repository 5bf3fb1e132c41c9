"""Stores whose batches behave differently from single calls."""

import time

from minimal import MinimalStore

from broken.entry import broken


@broken("test_default_read_many")
class ReadsManyInItsOwnOrder(MinimalStore):
    """A batch returns records in the order of the store, not of the request."""

    def read_many(self, addresses, *, deadline):
        return super().read_many(sorted(addresses), deadline=deadline)


@broken("test_default_read_many", "test_get_many", "test_read_many_of_several_spaces")
class ReadsManyDropsAbsent(MinimalStore):
    """A batch leaves out absent records."""

    def read_many(self, addresses, *, deadline):
        found = super().read_many(addresses, deadline=deadline)
        live = [data for data in found if data is not None]
        return live + [None] * (len(found) - len(live))


@broken("test_default_write_many", "test_write_many_of_several_spaces")
class WritesManyForEver(MinimalStore):
    """A batch ignores its ttl."""

    def write_many(self, items, ttl_ms, *, deadline):
        super().write_many(items, None, deadline=deadline)


@broken(
    "test_batch_in_a_scope", "test_default_remove_many", "test_delete_many", "test_large_batches"
)
class CountsAllRemoved(MinimalStore):
    """A batch counts the keys of the request as removed."""

    def remove_many(self, addresses, *, deadline):
        super().remove_many(addresses, deadline=deadline)
        return len(addresses)


@broken("test_set_many")
class WritesManyNewOnes(MinimalStore):
    """A batch leaves the records alone that exist."""

    def write_many(self, items, ttl_ms, *, deadline):
        new = [item for item in items if not self.found(item[0])]
        super().write_many(new, ttl_ms, deadline=deadline)


@broken("test_batch_of_large_records")
class WritesTheFirstRequest(MinimalStore):
    """Of a batch that is larger than a request only the first one is sent."""

    def write_many(self, items, ttl_ms, *, deadline):
        room = 2**20
        for address, data in items:
            room -= len(data)
            if room > 0:
                self.write(address, data, ttl_ms, deadline=deadline)


@broken("test_batch_of_large_records")
class SkipsLargeRecords(MinimalStore):
    """Records that are too large for a batch are left out."""

    def write_many(self, items, ttl_ms, *, deadline):
        small = [item for item in items if len(item[1]) < 400_000]
        super().write_many(small, ttl_ms, deadline=deadline)


@broken("test_largest_values")
class WritesManyUpTo4MiB(MinimalStore):
    """A batch cuts records at 4 MiB."""

    def write_many(self, items, ttl_ms, *, deadline):
        items = [(address, data[: 2**22]) for address, data in items]
        super().write_many(items, ttl_ms, deadline=deadline)


@broken("test_concurrent_batches")
class WritesManyInHalves(MinimalStore):
    """A batch writes half of each record, and then the rest."""

    def write_many(self, items, ttl_ms, *, deadline):
        for address, data in items:
            self.write(address, data[: len(data) // 2], ttl_ms, deadline=deadline)
            time.sleep(0.0002)
            self.write(address, data, ttl_ms, deadline=deadline)
