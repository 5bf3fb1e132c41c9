"""Stores whose changes get lost, or are applied twice."""

import math
import time

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.plugin import ABSENT, KEEP_TTL


@broken("C16")
class NotAtomic(MinimalStore):
    """Compare-and-set reads, compares, and then writes."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        record = self.found(address) or (ABSENT, math.inf, None)
        if record[0] != expected:
            return False
        time.sleep(0.0005)
        self.put(address, data, record[1] if ttl_ms is KEEP_TTL else self.expiry(ttl_ms))
        return True


@broken("C16")
class ComparesAlways(MinimalStore):
    """Compare-and-set writes if there is a record, whatever its bytes."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            if expected is not ABSENT:
                expected = (self.found(address) or (expected,))[0]
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("C16")
class EmptyIsAbsent(MinimalStore):
    """Empty bytes are taken for no record."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            if not (self.found(address) or (b"",))[0] and expected in (b"", ABSENT):
                self.put(address, data, self.expiry(None if ttl_ms is KEEP_TTL else ttl_ms))
                return True
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("C16")
class TriesTwice(MinimalStore):
    """A compare-and-set is sent again if the reply was lost: each third time."""

    count = 0

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        self.count += 1
        if self.count % 3 == 0:
            super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
