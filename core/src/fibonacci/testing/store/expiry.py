"""Expiry: which method sets it, and that an expired record is absent."""

import math
import time
from itertools import cycle

import pytest

from fibonacci import NO_EXPIRY, MemoryManager
from fibonacci.plugin import ABSENT, KEEP_TTL, Address
from fibonacci.testing.store.fixtures import ContractFixtures, StoreUnderTest


class ExpiryTests(ContractFixtures):
    """C11 and C13: how long records live, and who decides."""

    def test_present_before_expiry(self, memory: MemoryManager) -> None:
        """A record is there until its ttl is over, also of a fraction of a second (C11, C12)."""
        ttl = 0.25
        while True:
            start = time.monotonic()
            memory.set("k", 1, ttl=ttl)
            found = (memory.get("k"), memory.exists("k"), memory.list_keys())
            if time.monotonic() - start < ttl:
                break
            ttl *= 2  # too slow a machine to have looked in time
        assert found == (1, True, ["k"])

    def test_absent_after_expiry(self, memory: MemoryManager) -> None:
        """A ttl of 50 ms ends after 50 ms, not after a second (C11)."""
        memory.set("k", 1, ttl=0.05)
        time.sleep(0.05 + self.expiry_slack)
        assert memory.get("k") is None

    @pytest.mark.parametrize("method", ["write", "write_many", "compare_and_set", "touch"])
    def test_ttl_is_never_shorter(self, raw_store: StoreUnderTest, method: str) -> None:
        """A record is there until all of its ttl has passed, to the millisecond (C11)."""
        enough = time.monotonic() + 0.07
        for number, ttl_ms in enumerate(cycle(range(1, 8))):
            passed = time_until_gone(raw_store, method, raw_store.address(str(number)), ttl_ms)
            assert passed >= ttl_ms, f"a ttl of {ttl_ms} ms was over after {passed} ms"
            if time.monotonic() > enough:
                break

    def test_milliseconds(self, memory: MemoryManager) -> None:
        """A ttl is exact to the millisecond, not rounded to seconds (C11)."""
        for ttl in (60.5, 0.9, 1.4):
            start = time.monotonic()
            memory.set("k", 1, ttl=ttl)
            left = memory.ttl("k")
            passed = time.monotonic() - start
            if passed < ttl / 2:
                assert left is not None
                assert ttl - passed - 0.05 <= left <= ttl

    def test_long_ttl(self, memory: MemoryManager) -> None:
        """A ttl may be as long as a hundred years (C11)."""
        century = 100 * 365.25 * 86_400
        memory.set("k", 1, ttl=century)
        assert memory.get("k") == 1
        assert century - 60 < (memory.ttl("k") or 0) <= century

    def test_shortest_ttl(self, memory: MemoryManager) -> None:
        """A ttl under a millisecond is rounded up to one (C11)."""
        memory.set("k", 1, ttl=1e-9)
        time.sleep(0.001 + self.expiry_slack)
        assert memory.get("k") is None

    def test_set_replaces_the_expiry(self, memory: MemoryManager) -> None:
        """The method set replaces the expiry by a longer one, a shorter one, or none (C13)."""
        memory.set("longer", 1, ttl=self.short_ttl)
        memory.set("longer", 2, ttl=60)
        memory.set("none", 1, ttl=self.short_ttl)
        memory.set("none", 2)
        memory.set("shorter", 1, ttl=60)
        memory.set("shorter", 2, ttl=self.short_ttl)
        memory.set("some", 1)
        memory.set("some", 2, ttl=self.short_ttl)
        self.wait_for_expiry()
        assert memory.get_many(["longer", "none", "shorter", "some"]) == {"longer": 2, "none": 2}
        assert memory.ttl("none") == math.inf

    def test_set_many_replaces_the_expiry(self, memory: MemoryManager) -> None:
        """The method set_many sets the expiry of each record (C13)."""
        memory.set("a", 1)
        memory.set("c", 1, ttl=self.short_ttl)
        memory.set_many({"a": 2, "b": 2}, ttl=self.short_ttl)
        memory.set_many({"c": 2})
        self.wait_for_expiry()
        assert memory.list_keys() == ["c"]
        assert memory.ttl("c") == math.inf

    def test_changes_keep_the_expiry(self, memory: MemoryManager) -> None:
        """The methods append, increment and update keep the expiry, whatever ttl they get (C13)."""
        memory.set("list", [1], ttl=60)
        memory.append("list", 2, ttl=9_999)
        memory.set("number", 1, ttl=60)
        memory.increment("number", ttl=9_999)
        memory.set("value", 1, ttl=60)
        memory.update("value", lambda value: value + 1, ttl=9_999)
        memory.set("ever", 1)
        memory.increment("ever", ttl=60)
        for key in ("list", "number", "value"):
            assert 40 < (memory.ttl(key) or 0) <= 60
        assert memory.ttl("ever") == math.inf

    def test_changed_record_expires(self, memory: MemoryManager) -> None:
        """A record that was changed expires when it was to expire before (C13)."""
        memory.set("k", 1, ttl=0.1)
        memory.increment("k")
        time.sleep(0.1 + self.expiry_slack)
        assert memory.get("k") is None

    def test_changes_create_with_a_ttl(self, memory: MemoryManager) -> None:
        """The methods append, increment, update and add set the ttl of a new record (C13)."""
        memory.append("list", 1, ttl=60)
        memory.increment("number", ttl=60)
        memory.update("value", lambda value: value, ttl=60)
        memory.add("added", 1, ttl=60)
        memory.add("ever", 1)
        for key in ("list", "number", "value", "added"):
            assert 40 < (memory.ttl(key) or 0) <= 60
        assert memory.ttl("ever") == math.inf

    def test_reads_keep_the_expiry(self, memory: MemoryManager) -> None:
        """A record that is read all the time expires as if it were not (C13)."""
        memory.set("k", 1, ttl=0.1)
        end = time.monotonic() + 0.1 + self.expiry_slack
        while time.monotonic() < end:
            memory.get("k")
            memory.get_many(["k"])
            memory.exists("k")
            memory.ttl("k")
            memory.list_keys()
        assert memory.exists("k") is False

    def test_reads_keep_the_ttl(self, memory: MemoryManager) -> None:
        """Reading a record in any way does not extend its ttl (C13)."""
        memory.set("k", 1, ttl=60)
        time.sleep(0.02 + self.expiry_slack)
        for read in (
            lambda: memory.get("k"),
            lambda: memory.get_many(["k"]),
            lambda: memory.exists("k"),
            lambda: memory.ttl("k"),
            lambda: memory.list_keys(),
        ):
            read()
            left = memory.ttl("k")
            assert left is not None
            assert left <= 60 - 0.02

    def test_store_sets_the_expiry(self, memory: MemoryManager, raw_store: StoreUnderTest) -> None:
        """A store sets exactly the requested expiry, or none (C13)."""
        raw_store.write(raw_store.address("none"), b"1")
        raw_store.write(raw_store.address("some"), b"1", 60_000)
        assert raw_store.remaining_ttl_ms(raw_store.address("none")) is None
        left = raw_store.remaining_ttl_ms(raw_store.address("some"))
        assert isinstance(left, int)
        assert 40_000 < left <= 60_000
        assert raw_store.remaining_ttl_ms(raw_store.address("absent")) is ABSENT
        assert memory.ttl("absent") is None


def time_until_gone(raw_store: StoreUnderTest, method: str, address: Address, ttl_ms: int) -> float:
    """Give a record a ttl and read it until it is gone, or may be; return the milliseconds.

    They include the calls: a slow machine sees a longer life, never a shorter one. A step of the
    wall clock, which some stores go by, counts as time that passed.
    """
    if method in ("compare_and_set", "touch"):
        raw_store.write(address, b"1")
    start, wall_start = time.monotonic_ns(), time.time_ns()
    give_ttl(raw_store, method, address, ttl_ms)
    while True:
        gone = raw_store.read(address) is None
        passed = max(time.monotonic_ns() - start, time.time_ns() - wall_start) / 1_000_000
        if gone or passed >= ttl_ms:
            return passed


def give_ttl(raw_store: StoreUnderTest, method: str, address: Address, ttl_ms: int) -> None:
    """Give a record a ttl by the store's method; the last two need a record that is there."""
    if method == "write":
        raw_store.write(address, b"1", ttl_ms)
    elif method == "write_many":
        raw_store.write_many([(address, b"1")], ttl_ms)
    elif method == "compare_and_set":
        assert raw_store.compare_and_set(address, b"1", b"2", ttl_ms) is True
    else:
        assert raw_store.touch(address, ttl_ms) is True


class TouchTests(ContractFixtures):
    """C12 and C13: a new expiry for the record that is there."""

    def test_touch_extends_the_expiry(self, memory: MemoryManager) -> None:
        """Touching a record extends its expiry, and keeps its value (C13)."""
        memory.set("k", {"a": 1}, ttl=self.short_ttl + 1)
        assert memory.touch("k", 60) is True
        assert memory.get("k") == {"a": 1}
        assert 40 < (memory.ttl("k") or 0) <= 60

    def test_touch_shortens_the_expiry(self, memory: MemoryManager) -> None:
        """Touching can shorten a ttl, also of a record that never expires (C13)."""
        memory.set("k", 1)
        assert memory.touch("k", self.short_ttl) is True
        self.wait_for_expiry()
        assert memory.exists("k") is False
        assert memory.list_keys() == []

    def test_touch_removes_the_expiry(self, memory: MemoryManager) -> None:
        """Touching with NO_EXPIRY removes the expiry (C13)."""
        memory.set("k", 1, ttl=60)
        assert memory.touch("k", NO_EXPIRY) is True
        assert memory.ttl("k") == math.inf

    def test_touch_absent(self, memory: MemoryManager) -> None:
        """Touching an absent record returns False, and creates nothing (C14)."""
        assert memory.touch("k", 60) is False
        assert memory.list_keys() == []

    def test_touch_keeps_the_bytes(self, raw_store: StoreUnderTest) -> None:
        """Touching keeps the bytes, whatever they are (C13)."""
        for data in (b"", b"\x00\xff", b"{oops", b"x" * 10_000):
            raw_store.write(raw_store.address("k"), data)
            assert raw_store.touch(raw_store.address("k"), 60_000) is True
            assert raw_store.read(raw_store.address("k")) == data


class ExpiredTests(ContractFixtures):
    """C12: each test finds the record "k" expired a moment ago."""

    @pytest.fixture
    def late(self, memory: MemoryManager) -> MemoryManager:
        """A memory with one record, which has just expired."""
        memory.set("k", 1, ttl=self.short_ttl)
        self.wait_for_expiry()
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
        """Deleting an expired record returns False (C12, C14)."""
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
        """Touching an expired record returns False, and does not restore it (C12)."""
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
        """Setting an expired record creates a new one, without the old expiry (C12, C13)."""
        late.set("k", 2)
        assert late.ttl("k") == math.inf
        assert late.list_keys() == ["k"]

    def test_expired_compare_and_set(self, late: MemoryManager, raw_store: StoreUnderTest) -> None:
        """A compare-and-set that expects an expired record's bytes fails (C12, C16)."""
        address = raw_store.address("k")
        assert raw_store.compare_and_set(address, b"1", b"2") is False
        assert raw_store.compare_and_set(address, b"1", b"2", KEEP_TTL) is False
        assert late.get("k") is None

    def test_expired_compare_with_absent(
        self, late: MemoryManager, raw_store: StoreUnderTest
    ) -> None:
        """A compare-and-set takes an expired record as absent, its expiry too (C12, C16)."""
        address = raw_store.address("k")
        assert raw_store.compare_and_set(address, ABSENT, b"2", KEEP_TTL) is True
        assert raw_store.remaining_ttl_ms(address) is None
        assert late.get("k") == 2

    def test_expired_store_methods(self, late: MemoryManager, raw_store: StoreUnderTest) -> None:
        """Each method of a store treats an expired record as absent (C12)."""
        address = raw_store.address("k")
        late.set("live", 2)
        assert raw_store.read(address) is None
        assert raw_store.read_many([address]) == [None]
        assert raw_store.remaining_ttl_ms(address) is ABSENT
        assert raw_store.exists(address) is False
        assert raw_store.keys(address.space, limit=1) == ["live"]
        assert raw_store.touch(address, None) is False
        assert raw_store.remove(address) is False
