"""Values: what comes back is what went in, exactly."""

import math
from collections import OrderedDict
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from fibonacci import MemoryManager, SerializationError, ValueTooLargeError
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.samples import BYTES, VALUES
from fibonacci.testing.store.spoken import Raw

LOOP: list[Any] = []
LOOP.append(LOOP)

REFUSED: dict[str, Any] = {
    "nan": math.nan,
    "infinity": [math.inf],
    "bytes": {"a": b"x"},
    "set": {1},
    "date": date(2025, 1, 23),
    "uuid": UUID(int=1),
    "int-key": {1: 1},
    "cycle": LOOP,
    "surrogate": "\ud800",
    "digits": 10**4301,
    "object": object(),
}


class Values(Bench):
    """C7 to C10."""

    def test_round_trip(self, memory: MemoryManager) -> None:
        """A value comes back equal and of the same types, big ints and all text included (C7)."""
        for value in VALUES:
            assert memory.set("k", value) is True
            assert repr(memory.get("k", default="no record")) == repr(value)

    def test_plain_types(self, memory: MemoryManager) -> None:
        """Tuples come back as lists, and subclasses as the plain type (C7)."""
        memory.set("k", (1, OrderedDict(b=(2,), a=())))
        assert repr(memory.get("k")) == "[1, {'b': [2], 'a': []}]"

    def test_not_the_callers_object(self, memory: MemoryManager) -> None:
        """Changing an object after set, or one that get returned, changes no record (C7)."""
        given = {"turns": [1]}
        memory.set("k", given)
        given["turns"].append(2)
        first = memory.get("k")
        first["turns"].append(3)
        assert memory.get("k") == {"turns": [1]}
        memory.append("list", given)
        given["turns"].append(4)
        assert memory.get("list") == [{"turns": [1, 2]}]

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

    @pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
    def test_refused_value(self, memory: MemoryManager, value: object) -> None:
        """What is not strict JSON is refused, and the old value stays with its expiry (C7)."""
        memory.set("k", "old", ttl=60)
        with pytest.raises(SerializationError):
            memory.set("k", value)
        with pytest.raises(SerializationError):
            memory.append("list", value)
        with pytest.raises(SerializationError):
            memory.set_many({"new": 1, "k": value})
        assert memory.get("k") == "old"
        assert (memory.ttl("k") or 0) <= 60
        assert memory.list_keys() == ["k"]

    def test_none(self, memory: MemoryManager) -> None:
        """None is a value like any other, and no absence (C9)."""
        memory.set("k", None)
        assert memory.get("k", default="absent") is None
        assert memory.exists("k") is True
        assert memory.get_many(["k"]) == {"k": None}
        assert memory.add("k", 1) is False
        assert memory.list_keys() == ["k"]
        assert memory.delete("k") is True

    def test_falsy_values(self, memory: MemoryManager) -> None:
        """False, 0, "" and empty containers are values, and no absence (C9, C14)."""
        falsy: list[Any] = [False, 0, "", [], {}]
        for value in falsy:
            memory.set("k", value)
            assert memory.get("k", default="absent") == value
            assert memory.add("k", 1) is False

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

    def test_too_large_value(self, memory: MemoryManager) -> None:
        """A value over 16 MiB is refused, and the old one stays (C7)."""
        memory.set("k", "old")
        with pytest.raises(ValueTooLargeError):
            memory.set("k", "x" * 2**24)
        assert memory.get("k") == "old"
