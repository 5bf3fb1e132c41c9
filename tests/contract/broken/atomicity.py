"""Stores whose changes get lost, or are applied twice."""

import math
import time

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.plugin import ABSENT, KEEP_TTL


@broken("test_concurrent_adds", "test_concurrent_cas")
class NotAtomic(MinimalStore):
    """Compare-and-set reads, compares, and then writes."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        record = self.found(address) or (ABSENT, math.inf, None)
        if record[0] != expected:
            return False
        time.sleep(0.0005)
        self.put(address, data, record[1] if ttl_ms is KEEP_TTL else self.expiry(ttl_ms))
        return True


@broken("test_cas_binary_and_large", "test_cas_unequal", "test_update_within_update")
class ComparesAlways(MinimalStore):
    """Compare-and-set writes if there is a record, whatever its bytes."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            if expected is not ABSENT:
                expected = (self.found(address) or (expected,))[0]
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_cas_absent")
class CreatesAnyway(MinimalStore):
    """Absence is not checked: a record is created over another one."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found = (self.found(address) or (ABSENT,))[0]
            expected = found if expected is ABSENT else expected
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_cas_without_a_change")
class CountsChangedRows(MinimalStore):
    """A compare-and-set that changes nothing returns False, as no row has changed."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        written = super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        return written and not (data == expected and ttl_ms is KEEP_TTL)


@broken("test_cas_equal")
class ReportsNoWrite(MinimalStore):
    """A compare-and-set writes, and returns False, as its driver counts no changed rows."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        return False


@broken("test_cas_bytes_of_absent_record", "test_cas_empty_bytes")
class EmptyIsAbsent(MinimalStore):
    """Empty bytes are taken for no record."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            if not (self.found(address) or (b"",))[0] and expected in (b"", ABSENT):
                self.put(address, data, self.expiry(None if ttl_ms is KEEP_TTL else ttl_ms))
                return True
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_concurrent_appends", "test_concurrent_increments", "test_concurrent_updates")
class TriesTwice(MinimalStore):
    """A compare-and-set is sent again if the reply was lost: each third time."""

    count = 0

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        self.count += 1
        if self.count % 3 == 0:
            super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
