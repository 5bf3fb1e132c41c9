"""Values: what comes back is what went in, exactly."""

from fibonacci import MemoryManager, ValueTooLargeError
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.samples import BYTES, VALUES
from fibonacci.testing.store.spoken import Raw


class Values(Bench):
    """C7 to C10."""

    def test_round_trip(self, memory: MemoryManager) -> None:
        """A value comes back equal and of the same types, big ints and all text included (C7)."""
        for value in VALUES:
            assert memory.set("k", value) is True
            assert repr(memory.get("k", default="no record")) == repr(value)

    def test_bytes_exact(self, raw: Raw) -> None:
        """A store returns the very bytes it was given, empty and binary ones too (C7)."""
        addresses = [raw.address(str(number)) for number in range(len(BYTES))]
        for address, data in zip(addresses, BYTES, strict=True):
            raw.write(address, data)
        for address, data in zip(addresses, BYTES, strict=True):
            found = raw.read(address)
            assert type(found) is bytes
            assert found == data
        assert raw.read_many(addresses) == BYTES

    def test_one_record_not_the_neighbours(self, memory: MemoryManager) -> None:
        """Replacing a long value by a short one leaves nothing of the long one (C7)."""
        memory.set("k", "x" * 50_000)
        memory.set("k", "y")
        assert memory.get("k") == "y"

    def test_none(self, memory: MemoryManager) -> None:
        """None is a value like any other, and no absence (C9)."""
        memory.set("k", None)
        assert memory.get("k", default="absent") is None
        assert memory.exists("k") is True
        assert memory.get_many(["k"]) == {"k": None}
        assert memory.add("k", 1) is False
        assert memory.list_keys() == ["k"]
        assert memory.delete("k") is True

    def test_large_value(self, memory: MemoryManager) -> None:
        """A value of 300,000 bytes is stored whole (C7, C10)."""
        value = [f"{number:09}" for number in range(25_000)]
        memory.set("k", value)
        assert memory.get("k") == value
        assert memory.append("k", "x") == 25_001
        assert memory.get("k") == [*value, "x"]

    def test_larger_value(self, memory: MemoryManager) -> None:
        """A value of 2 MiB is stored whole, or refused and the old one stays (C10)."""
        value = "x" * 2**21
        memory.set("k", "old")
        try:
            memory.set("k", value)
        except ValueTooLargeError:
            value = "old"
        assert memory.get("k") == value
