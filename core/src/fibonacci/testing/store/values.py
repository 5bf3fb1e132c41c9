"""Values: stored exactly, or refused; and records that hold none."""

import math

import pytest

from fibonacci import CorruptRecordError, MemoryManager, ValueTooLargeError
from fibonacci.testing.differences import difference
from fibonacci.testing.store.fixtures import ContractFixtures, StoreUnderTest

VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1.0,
    -0.0,
    0.1,
    1e308,
    5e-324,
    2**53 + 1,
    2**63,
    2**64,
    -(2**64),
    10**400,
    "",
    " ",
    "NaN",
    "a\x00b",
    "\r\n",
    "e\u0301 é",
    "漢字 😀 \uffff",
    "\u2028\u2029</script>",
    [],
    {},
    [None, [True, [1, 1.0]]],
    {"": "", "a": {"b": [{"c": None}]}, "\x00": 0, "😀": "😀"},
    {"z": 1, "a": 2, "m": 3},
    [2**70, {"n": -(2**70)}],
]
"""Values that come back as they went in."""

BYTES = [
    b"",
    b"\x00",
    b" ",
    b"0",
    b"null",
    b"a\n",
    b"a\r\n\x00",
    b"\x80\x00\xff",
    bytes(range(256)),
    "漢😀".encode(),
    b"x" * 100_000,
]
"""Records that a store returns byte by byte."""


class ValueTests(ContractFixtures):
    """C7 to C10."""

    def test_round_trip(self, memory: MemoryManager) -> None:
        """A value comes back equal and of the same types, big ints and all text included (C7)."""
        for value in VALUES:
            assert memory.set("k", value) is True
            assert repr(memory.get("k", default="no record")) == repr(value)

    def test_exact_bytes(self, raw_store: StoreUnderTest) -> None:
        """A store returns exactly the stored bytes, empty and binary ones included (C7)."""
        addresses = [raw_store.address(str(number)) for number in range(len(BYTES))]
        for address, data in zip(addresses, BYTES, strict=True):
            raw_store.write(address, data)
        for address, data in zip(addresses, BYTES, strict=True):
            found = raw_store.read(address)
            assert type(found) is bytes
            assert difference(found, data) is None
        assert difference(raw_store.read_many(addresses), BYTES) is None

    def test_shorter_value_replaces_longer(self, memory: MemoryManager) -> None:
        """Replacing a long value by a short one leaves nothing of the long one (C7)."""
        memory.set("k", "x" * 50_000)
        memory.set("k", "y")
        assert memory.get("k") == "y"

    def test_none(self, memory: MemoryManager) -> None:
        """None is a value, and distinct from an absent record (C9)."""
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
        assert difference(memory.get("k"), value) is None
        assert memory.append("k", "x") == 25_001
        assert difference(memory.get("k"), [*value, "x"]) is None

    def test_larger_value(self, memory: MemoryManager) -> None:
        """A value of 2 MiB is stored whole, or refused while the old one stays (C10)."""
        value = "x" * 2**21
        memory.set("k", "old")
        try:
            memory.set("k", value)
        except ValueTooLargeError:
            value = "old"
        assert difference(memory.get("k"), value) is None


CORRUPT = [b"", b"{oops", b"NaN", b"nul", b"\x00\x01", b" ", b"1 2", b"[1", b"'a'", b'"\xff"']
SEALED = [b"\x80", b"\x80\x01\x02 sealed", b"\xff" * 40]


class CorruptRecordTests(ContractFixtures):
    """C8 and C25."""

    def test_corrupt_record(self, memory: MemoryManager, raw_store: StoreUnderTest) -> None:
        """Bytes that are no JSON raise, and are not read as the default (C8)."""
        for data in CORRUPT:
            raw_store.write(raw_store.address("k"), data)
            with pytest.raises(CorruptRecordError):
                memory.get("k", default="default")
            with pytest.raises(CorruptRecordError):
                memory.get_many(["k"])

    def test_corrupt_record_can_be_replaced(
        self, memory: MemoryManager, raw_store: StoreUnderTest
    ) -> None:
        """A corrupt record is listed, and can be replaced and deleted (C8, C14)."""
        raw_store.write(raw_store.address("k"), b"{oops")
        assert memory.list_keys() == ["k"]
        assert memory.exists("k") is True
        memory.set("k", 1)
        assert memory.get("k") == 1
        raw_store.write(raw_store.address("k"), b"{oops")
        assert memory.delete("k") is True

    def test_sealed_record_is_handled(
        self, memory: MemoryManager, raw_store: StoreUnderTest
    ) -> None:
        """The methods exists, list_keys, ttl, touch, delete and clear need no key (C25)."""
        for number, data in enumerate(SEALED):
            raw_store.write(raw_store.address(str(number)), data)
        assert memory.exists("0") is True
        assert memory.list_keys() == ["0", "1", "2"]
        assert memory.ttl("0") == math.inf
        assert memory.touch("0", 60) is True
        assert raw_store.read(raw_store.address("0")) == SEALED[0]
        assert memory.delete("0") is True
        assert memory.delete_many(["0", "1"]) == 1
        assert memory.clear() is True
        assert raw_store.read(raw_store.address("2")) is None
