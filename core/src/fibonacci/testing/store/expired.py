"""An expired record is absent, at once and for every verb, whether it was swept or not."""

import math

import pytest

from fibonacci import NO_EXPIRY, MemoryManager
from fibonacci.plugin import ABSENT, KEEP_TTL
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.spoken import Raw


class Expired(Bench):
    """C12: each test finds the record "k" expired a moment ago."""

    @pytest.fixture
    def late(self, memory: MemoryManager) -> MemoryManager:
        """A memory with one record, which has just expired."""
        memory.set("k", 1, ttl=self.short)
        self.outlive()
        return memory

    def test_expired_get(self, late: MemoryManager) -> None:
        """An expired record is not returned (C12)."""
        assert late.get("k", default="absent") == "absent"

    def test_expired_get_many(self, late: MemoryManager) -> None:
        """An expired record is not returned in a batch (C12)."""
        late.set("live", 2)
        assert late.get_many(["k", "live"]) == {"live": 2}

    def test_expired_exists(self, late: MemoryManager) -> None:
        """An expired record does not exist (C12)."""
        assert late.exists("k") is False

    def test_expired_delete(self, late: MemoryManager) -> None:
        """Deleting an expired record says False (C12, C14)."""
        assert late.delete("k") is False

    def test_expired_delete_many(self, late: MemoryManager) -> None:
        """An expired record is not counted among the deleted ones (C12, C14)."""
        late.set("live", 2)
        assert late.delete_many(["k", "live"]) == 1

    def test_expired_list(self, late: MemoryManager) -> None:
        """An expired record is not listed (C12)."""
        late.set("live", 2)
        assert late.list_keys() == ["live"]
        assert list(late.iter_keys()) == ["live"]

    def test_expired_ttl(self, late: MemoryManager) -> None:
        """An expired record has no ttl (C12)."""
        assert late.ttl("k") is None

    def test_expired_touch(self, late: MemoryManager) -> None:
        """Touching an expired record says False, and does not bring it back (C12)."""
        assert late.touch("k", 60) is False
        assert late.touch("k", NO_EXPIRY) is False
        assert late.get("k") is None
        assert late.list_keys() == []

    def test_expired_add(self, late: MemoryManager) -> None:
        """Adding where a record expired stores the value, without the old expiry (C12, C13)."""
        assert late.add("k", 2) is True
        assert late.get("k") == 2
        assert late.ttl("k") == math.inf

    def test_expired_append(self, late: MemoryManager) -> None:
        """Appending to an expired record starts a new list, with a new expiry (C12, C13)."""
        assert late.append("k", "a", ttl=60) == 1
        assert late.get("k") == ["a"]
        assert 50 < (late.ttl("k") or 0) <= 60

    def test_expired_increment(self, late: MemoryManager) -> None:
        """Incrementing an expired record starts from 0, without the old expiry (C12, C13)."""
        assert late.increment("k", 5) == 5
        assert late.ttl("k") == math.inf

    def test_expired_update(self, late: MemoryManager) -> None:
        """Updating an expired record starts from the default (C12)."""
        assert late.update("k", lambda value: [value], default="none") == ["none"]
        assert late.get("k") == ["none"]

    def test_expired_set(self, late: MemoryManager) -> None:
        """Setting an expired record makes a new one, without the old expiry (C12, C13)."""
        late.set("k", 2)
        assert late.ttl("k") == math.inf
        assert late.list_keys() == ["k"]

    def test_expired_compare_and_set(self, late: MemoryManager, raw: Raw) -> None:
        """A compare-and-set that expects an expired record's bytes fails (C12, C16)."""
        address = raw.address("k")
        assert raw.compare_and_set(address, b"1", b"2") is False
        assert raw.compare_and_set(address, b"1", b"2", KEEP_TTL) is False
        assert late.get("k") is None

    def test_expired_compare_with_absent(self, late: MemoryManager, raw: Raw) -> None:
        """A compare-and-set takes an expired record as absent, its expiry too (C12, C16)."""
        address = raw.address("k")
        assert raw.compare_and_set(address, ABSENT, b"2", KEEP_TTL) is True
        assert raw.remaining_ttl_ms(address) is None
        assert late.get("k") == 2

    def test_expired_store_methods(self, late: MemoryManager, raw: Raw) -> None:
        """Each method of a store takes an expired record as absent (C12)."""
        address = raw.address("k")
        late.set("live", 2)
        assert raw.read(address) is None
        assert raw.read_many([address]) == [None]
        assert raw.remaining_ttl_ms(address) is ABSENT
        assert raw.exists(address) is False
        assert raw.keys(address.space, limit=1) == ["live"]
        assert raw.touch(address, None) is False
        assert raw.remove(address) is False
