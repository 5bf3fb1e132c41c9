"""Batches: several records in few requests, each of them whole."""

from fibonacci import MemoryManager
from fibonacci.plugin import Address
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.spoken import Raw, call, together


class Batches(Bench):
    """C14 and C17."""

    def test_get_many(self, memory: MemoryManager) -> None:
        """get_many returns the live records by key, in the order asked (C14)."""
        memory.set("a", 1)
        memory.set("b", None)
        memory.set("c", 3, ttl=60)
        found = memory.get_many(["c", "absent", "b", "a", "c"])
        assert list(found.items()) == [("c", 3), ("b", None), ("a", 1)]
        assert memory.get_many([]) == {}

    def test_set_many(self, memory: MemoryManager) -> None:
        """set_many stores each record, new and old ones (C14)."""
        memory.set("a", "old")
        assert memory.set_many({"a": 1, "b": [2]}) is True
        assert memory.get_many(["a", "b"]) == {"a": 1, "b": [2]}
        assert memory.set_many({}) is True

    def test_delete_many(self, memory: MemoryManager) -> None:
        """delete_many counts the live records that went, each once (C14)."""
        memory.set_many({"a": 1, "b": 2, "c": 3})
        assert memory.delete_many(["a", "absent", "b", "a"]) == 2
        assert memory.list_keys() == ["c"]
        assert memory.delete_many([]) == 0

    def test_large_batches(self, memory: MemoryManager) -> None:
        """A batch may be larger than what one request takes (C14, C17)."""
        mapping = {f"k{number}": [number, "x" * 100] for number in range(230)}
        memory.set_many(mapping)
        keys = list(reversed(mapping))
        assert memory.get_many([*keys, "absent"]) == mapping
        assert list(memory.get_many(keys)) == keys
        assert memory.delete_many([*keys, "absent"]) == 230
        assert memory.get_many(keys) == {}

    def test_batch_in_a_scope(self, memory: MemoryManager) -> None:
        """A batch touches the scope and the user that it names (C1, C6)."""
        memory.set("a", "workflow")
        memory.set_many({"a": 1, "b": 2}, scope="user", user_id="u")
        assert memory.get_many(["a", "b"]) == {"a": "workflow"}
        assert memory.get_many(["a", "b"], scope="user", user_id="u") == {"a": 1, "b": 2}
        assert memory.delete_many(["a", "b"], scope="global") == 0
        assert memory.delete_many(["a"], scope="user", user_id="u") == 1
        assert memory.get("a") == "workflow"

    def test_store_reads_over_spaces(self, raw: Raw) -> None:
        """One read takes records of several spaces, repeated and absent ones too (C14)."""
        spaces = [raw.space(), raw.space("user", "u"), raw.space("global")]
        addresses = [Address(space, key) for key in ("b", "a") for space in spaces]
        raw.write_many([(one, one.text.encode()) for one in addresses])
        absent = Address(raw.space("organization", "o"), "a")
        asked = [addresses[3], absent, *addresses, addresses[3]]
        assert raw.read_many(asked) == [
            None if one is absent else one.text.encode() for one in asked
        ]
        assert raw.read_many([]) == []

    def test_store_writes_over_spaces(self, raw: Raw) -> None:
        """One write takes records of several spaces, and gives all the same expiry (C17)."""
        addresses = [Address(space, "k") for space in (raw.space(), raw.space("user", "u"))]
        raw.write_many([(one, b"1") for one in addresses], 60_000)
        for one in addresses:
            left = raw.remaining_ttl_ms(one)
            assert isinstance(left, int)
            assert 40_000 < left <= 60_000
        raw.write_many([])

    def test_records_are_whole(self, memory: MemoryManager) -> None:
        """Batches at the same time leave each record as one of them wrote it (C17)."""
        keys = [f"k{number}" for number in range(10)]
        batches = [dict.fromkeys(keys, [number] * 50) for number in range(16)]
        reversed_too = [dict(reversed(list(batch.items()))) for batch in batches]
        memory.set_many(batches[0])
        calls = [
            one
            for batch, backwards in zip(batches, reversed_too, strict=True)
            for one in (
                call("set_many", batch),
                call("set_many", backwards),
                call("get_many", keys),
            )
        ]
        answers = together(memory, calls)
        for found in [*answers[2::3], memory.get_many(keys)]:
            assert list(found) == keys
            assert all(value == [value[0]] * 50 for value in found.values())
