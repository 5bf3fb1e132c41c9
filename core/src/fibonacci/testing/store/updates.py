"""Updates: compare-and-set, atomic changes, and batches."""

from collections import Counter
from typing import cast

import pytest

from fibonacci import MemoryManager
from fibonacci.plugin import ABSENT, KEEP_TTL, Absent, Address
from fibonacci.testing.store.fixtures import (
    ContractFixtures,
    MemoryUnderTest,
    StoreUnderTest,
    call,
    call_concurrently,
)


class AtomicUpdateTests(ContractFixtures):
    """C16: the methods."""

    def test_concurrent_increments(self, memory: MemoryManager) -> None:
        """Each of many concurrent increments counts once (C16)."""
        results = call_concurrently(memory, [call("increment", "n")] * 120)
        assert memory.get("n") == 120
        assert sorted(results) == list(range(1, 121))

    def test_concurrent_appends(self, memory: MemoryManager) -> None:
        """The items of many concurrent appends are each in the list once (C16)."""
        results = call_concurrently(
            memory, [call("append", "list", number) for number in range(120)]
        )
        assert sorted(memory.get("list")) == list(range(120))
        assert sorted(results) == list(range(1, 121))

    def test_concurrent_adds(self, memory: MemoryManager) -> None:
        """One of many concurrent adds of a record succeeds, and its value stays (C16)."""
        for record in range(8):
            results = call_concurrently(
                memory, [call("add", f"k{record}", number) for number in range(16)]
            )
            assert Counter(results)[True] == 1
            assert memory.get(f"k{record}") == results.index(True)

    def test_concurrent_updates(self, memory: MemoryManager) -> None:
        """None of many concurrent updates is lost, however often one is retried (C16)."""

        def grow(value: list[int]) -> list[int]:
            return [*value, len(value)]

        memory.set("k", [])
        call_concurrently(memory, [call("update", "k", grow)] * 80)
        assert memory.get("k") == list(range(80))

    def test_concurrent_changes_of_different_records(self, memory: MemoryManager) -> None:
        """Concurrent changes of many records don't affect each other (C16, C21)."""
        call_concurrently(
            memory, [call("increment", f"n{number % 10}", number % 10) for number in range(200)]
        )
        assert memory.get_many([f"n{number}" for number in range(10)]) == {
            f"n{number}": number * 20 for number in range(10)
        }

    def test_concurrent_deletes(self, memory: MemoryManager) -> None:
        """One of many concurrent deletes of a record returns True (C14, C16)."""
        for _ in range(5):
            memory.set("k", 1)
            results = call_concurrently(memory, [call("delete", "k")] * 16)
            assert Counter(results) == {True: 1, False: 15}

    def test_touch_loses_no_change(self, memory: MemoryManager) -> None:
        """Touching a record during other changes undoes no change (C16)."""
        memory.set("n", 0)
        touch = call("touch", "n", 60)
        call_concurrently(memory, [call("increment", "n"), touch, touch] * 40)
        assert memory.get("n") == 40

    def test_concurrent_reads(self, memory: MemoryManager) -> None:
        """Each of many concurrent reads gets its own value (C21)."""
        memory.set_many({f"k{number}": number for number in range(20)})
        requested = [number % 20 for number in range(300)]
        results = call_concurrently(memory, [call("get", f"k{number}") for number in requested])
        assert results == requested

    def test_update_within_update(self, memory: MemoryManager) -> None:
        """A record that changes during an update is updated from its new value (C16)."""
        other = iter([10, 20])

        def change(value: int) -> int:
            for new in other:
                inner.set("n", new)
                break
            return value + 1

        inner = cast(MemoryUnderTest, memory).wrapped
        memory.set("n", 0)
        assert memory.update("n", change) == 21
        assert memory.get("n") == 21


WRONG = [ABSENT, b"", b"ol", b"old ", b"OLD", b"other"]


class CompareAndSetTests(ContractFixtures):
    """C16: the primitive."""

    def test_cas_equal(self, raw_store: StoreUnderTest) -> None:
        """A compare-and-set writes if the bytes are as expected (C16)."""
        raw_store.write(raw_store.address("k"), b"old")
        assert raw_store.compare_and_set(raw_store.address("k"), b"old", b"new") is True
        assert raw_store.read(raw_store.address("k")) == b"new"

    @pytest.mark.parametrize("expected", WRONG, ids=repr)
    def test_cas_unequal(self, raw_store: StoreUnderTest, expected: bytes | Absent) -> None:
        """A compare-and-set that expects other bytes changes neither bytes nor expiry (C16)."""
        raw_store.write(raw_store.address("k"), b"old", 60_000)
        assert raw_store.compare_and_set(raw_store.address("k"), expected, b"new", None) is False
        assert raw_store.read(raw_store.address("k")) == b"old"
        left = raw_store.remaining_ttl_ms(raw_store.address("k"))
        assert isinstance(left, int)
        assert left <= 60_000

    def test_cas_absent(self, raw_store: StoreUnderTest) -> None:
        """A compare-and-set that expects no record creates one, once (C16)."""
        assert raw_store.compare_and_set(raw_store.address("k"), ABSENT, b"1") is True
        assert raw_store.compare_and_set(raw_store.address("k"), ABSENT, b"2") is False
        assert raw_store.read(raw_store.address("k")) == b"1"
        assert raw_store.keys(raw_store.space()) == ["k"]

    def test_cas_bytes_of_absent_record(self, raw_store: StoreUnderTest) -> None:
        """A compare-and-set that expects bytes creates no record (C16)."""
        for expected in (b"", b"old"):
            assert raw_store.compare_and_set(raw_store.address("k"), expected, b"new") is False
        assert raw_store.read(raw_store.address("k")) is None
        assert raw_store.keys(raw_store.space()) == []

    def test_cas_empty_bytes(self, raw_store: StoreUnderTest) -> None:
        """Empty bytes are bytes, and distinct from absence (C16)."""
        assert raw_store.compare_and_set(raw_store.address("k"), ABSENT, b"") is True
        assert raw_store.exists(raw_store.address("k")) is True
        assert raw_store.read(raw_store.address("k")) == b""
        assert raw_store.compare_and_set(raw_store.address("k"), ABSENT, b"1") is False
        assert raw_store.compare_and_set(raw_store.address("k"), b"", b"1") is True
        assert raw_store.compare_and_set(raw_store.address("k"), b"1", b"") is True
        assert raw_store.read(raw_store.address("k")) == b""

    def test_cas_binary_and_large(self, raw_store: StoreUnderTest) -> None:
        """Bytes of any size and kind are compared to the last one (C16)."""
        for data in (bytes(range(256)), b"\x00", b"\x80\xff", b"x" * 100_000):
            raw_store.write(raw_store.address("k"), data)
            assert (
                raw_store.compare_and_set(raw_store.address("k"), data + b"\x00", b"new") is False
            )
            assert raw_store.compare_and_set(raw_store.address("k"), data[:-1], b"new") is False
            assert (
                raw_store.compare_and_set(raw_store.address("k"), data[:-1] + b"\x01", b"new")
                is False
            )
            assert raw_store.compare_and_set(raw_store.address("k"), data, b"new") is True

    def test_cas_same_bytes(self, raw_store: StoreUnderTest) -> None:
        """A compare-and-set that writes equal bytes writes their expiry, too (C13, C16)."""
        raw_store.write(raw_store.address("k"), b"1")
        assert raw_store.compare_and_set(raw_store.address("k"), b"1", b"1", 60_000) is True
        assert isinstance(raw_store.remaining_ttl_ms(raw_store.address("k")), int)

    def test_cas_without_a_change(self, raw_store: StoreUnderTest) -> None:
        """A compare-and-set that changes neither bytes nor expiry returns True (C16)."""
        raw_store.write(raw_store.address("lasting"), b"1")
        raw_store.write(raw_store.address("expiring"), b"1", 60_000)
        for address in map(raw_store.address, ("lasting", "expiring", "lasting")):
            assert raw_store.compare_and_set(address, b"1", b"1", KEEP_TTL) is True
        assert raw_store.compare_and_set(raw_store.address("lasting"), b"1", b"1", None) is True

    def test_concurrent_cas(self, raw_store: StoreUnderTest) -> None:
        """One of many concurrent compare-and-sets of a record succeeds (C16)."""
        address, expected = raw_store.address("k"), b"first"
        raw_store.write(address, expected)
        for turn in range(6):
            new = [b"%d of turn %d" % (number, turn) for number in range(16)]
            results = raw_store.call_concurrently(
                [call("compare_and_set", address, expected, data, None) for data in new]
            )
            assert Counter(results) == {True: 1, False: 15}
            expected = new[results.index(True)]
            assert raw_store.read(address) == expected

    def test_cas_keep_ttl(self, raw_store: StoreUnderTest) -> None:
        """KEEP_TTL keeps the expiry of a record; a created record has none (C13, C16)."""
        raw_store.write(raw_store.address("some"), b"1", 60_000)
        raw_store.write(raw_store.address("none"), b"1")
        for key in ("some", "none"):
            assert raw_store.compare_and_set(raw_store.address(key), b"1", b"2", KEEP_TTL) is True
        assert raw_store.compare_and_set(raw_store.address("new"), ABSENT, b"2", KEEP_TTL) is True
        left = raw_store.remaining_ttl_ms(raw_store.address("some"))
        assert isinstance(left, int)
        assert 40_000 < left <= 60_000
        assert raw_store.remaining_ttl_ms(raw_store.address("none")) is None
        assert raw_store.remaining_ttl_ms(raw_store.address("new")) is None

    def test_cas_new_expiry(self, raw_store: StoreUnderTest) -> None:
        """A compare-and-set sets or removes the expiry (C13, C16)."""
        raw_store.write(raw_store.address("none"), b"1")
        raw_store.write(raw_store.address("some"), b"1", 60_000)
        assert (
            raw_store.compare_and_set(raw_store.address("none"), b"1", b"2", self.short_ttl_ms)
            is True
        )
        assert raw_store.compare_and_set(raw_store.address("some"), b"1", b"2", None) is True
        assert (
            raw_store.compare_and_set(raw_store.address("new"), ABSENT, b"2", self.short_ttl_ms)
            is True
        )
        assert raw_store.remaining_ttl_ms(raw_store.address("some")) is None
        self.wait_for_expiry()
        assert raw_store.keys(raw_store.space()) == ["some"]


class BatchTests(ContractFixtures):
    """C14 and C17."""

    def test_get_many(self, memory: MemoryManager) -> None:
        """The method get_many returns records by key, in the order of the keys (C14)."""
        memory.set("a", 1)
        memory.set("b", None)
        memory.set("c", 3, ttl=60)
        found = memory.get_many(["c", "absent", "b", "a", "c"])
        assert list(found.items()) == [("c", 3), ("b", None), ("a", 1)]
        assert memory.get_many([]) == {}

    def test_set_many(self, memory: MemoryManager) -> None:
        """The method set_many stores each record, new and old ones (C14)."""
        memory.set("a", "old")
        assert memory.set_many({"a": 1, "b": [2]}) is True
        assert memory.get_many(["a", "b"]) == {"a": 1, "b": [2]}
        assert memory.set_many({}) is True

    def test_delete_many(self, memory: MemoryManager) -> None:
        """The method delete_many counts the removed records, each once (C14)."""
        memory.set_many({"a": 1, "b": 2, "c": 3})
        assert memory.delete_many(["a", "absent", "b", "a"]) == 2
        assert memory.list_keys() == ["c"]
        assert memory.delete_many([]) == 0

    def test_large_batches(self, memory: MemoryManager) -> None:
        """A batch may be larger than one request of the backend (C14, C17)."""
        mapping = {f"k{number}": [number, "x" * 100] for number in range(230)}
        memory.set_many(mapping)
        keys = list(reversed(mapping))
        assert memory.get_many([*keys, "absent"]) == mapping
        assert list(memory.get_many(keys)) == keys
        assert memory.delete_many([*keys, "absent"]) == 230
        assert memory.get_many(keys) == {}

    def test_batch_in_a_scope(self, memory: MemoryManager) -> None:
        """A batch applies to the scope and the user that it names (C1, C6)."""
        memory.set("a", "workflow")
        memory.set_many({"a": 1, "b": 2}, scope="user", user_id="u")
        assert memory.get_many(["a", "b"]) == {"a": "workflow"}
        assert memory.get_many(["a", "b"], scope="user", user_id="u") == {"a": 1, "b": 2}
        assert memory.delete_many(["a", "b"], scope="global") == 0
        assert memory.delete_many(["a"], scope="user", user_id="u") == 1
        assert memory.get("a") == "workflow"

    def test_read_many_of_several_spaces(self, raw_store: StoreUnderTest) -> None:
        """One read_many takes records of several spaces, repeated and absent ones too (C14)."""
        spaces = [raw_store.space(), raw_store.space("user", "u"), raw_store.space("global")]
        addresses = [Address(space, key) for key in ("b", "a") for space in spaces]
        raw_store.write_many([(address, address.text.encode()) for address in addresses])
        absent = Address(raw_store.space("organization", "o"), "a")
        requested = [addresses[3], absent, *addresses, addresses[3]]
        assert raw_store.read_many(requested) == [
            None if address is absent else address.text.encode() for address in requested
        ]
        assert raw_store.read_many([]) == []

    def test_write_many_of_several_spaces(self, raw_store: StoreUnderTest) -> None:
        """One write_many takes records of several spaces, with the same expiry (C17)."""
        addresses = [
            Address(space, "k") for space in (raw_store.space(), raw_store.space("user", "u"))
        ]
        raw_store.write_many([(address, b"1") for address in addresses], 60_000)
        for address in addresses:
            left = raw_store.remaining_ttl_ms(address)
            assert isinstance(left, int)
            assert 40_000 < left <= 60_000
        raw_store.write_many([])

    def test_concurrent_batches(self, memory: MemoryManager) -> None:
        """Concurrent batches leave each record as one of them wrote it (C17)."""
        keys = [f"k{number}" for number in range(10)]
        batches = [dict.fromkeys(keys, [number] * 50) for number in range(16)]
        reversed_too = [dict(reversed(list(batch.items()))) for batch in batches]
        memory.set_many(batches[0])
        calls = [
            prepared
            for batch, backwards in zip(batches, reversed_too, strict=True)
            for prepared in (
                call("set_many", batch),
                call("set_many", backwards),
                call("get_many", keys),
            )
        ]
        results = call_concurrently(memory, calls)
        for found in [*results[2::3], memory.get_many(keys)]:
            assert list(found) == keys
            assert all(value == [value[0]] * 50 for value in found.values())
