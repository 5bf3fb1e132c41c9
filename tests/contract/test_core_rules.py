"""Rules that core enforces for every backend: tested on ``memory``, sync, async and mixed.

A backend never meets these values and arguments, so StoreContract does not ask authors to run them.
"""

import math
from collections import OrderedDict
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, cast
from uuid import UUID

import pytest

from fibonacci import (
    NO_EXPIRY,
    ConfigurationError,
    CorruptRecordError,
    DecryptionError,
    InvalidArgumentError,
    InvalidKeyError,
    MemoryManager,
    ScopeError,
    SerializationError,
    ValueTooLargeError,
    WrongTypeError,
)
from fibonacci.testing.store.addresses import HOSTILE
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory, StoreUnderTest

INVALID_KEYS = ["", "a\0", "\ud800", "k" * 1001, "漢" * 334, b"k", 1, None, ["k"]]

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

INVALID_TTLS = [0, -1, True, "60", math.nan, math.inf, 101 * 366 * 86_400, [1]]

SEALED = [b"\x80", b"\x80\x01\x02 sealed", b"\xff" * 40]

PATTERNS = [
    "*",
    "a*",
    "A*",
    "*a",
    "a:*",
    "a::*",
    "a%*",
    "%*",
    "_*",
    "?",
    "??",
    "[*]",
    "[[]a]",
    "[!a]*",
    "[a-c]",
    "a[[]b",
    "[",
    "{a*",
    "'*",
    '"*',
    "\\*",
    "a\\*",
    "\\?",
    "\n*",
    "é*",
    "e\u0301*",
    "漢*",
    "😀*",
    "\uffff*",
    "k*",
    "k" * 999 + "*",
    "",
    "no such key",
]


class TestAddresses(ContractFixtures):
    """C3 to C5: names, users and organizations."""

    backend = "memory"

    @pytest.mark.parametrize("key", INVALID_KEYS, ids=lambda key: repr(key)[:12])
    def test_invalid_keys(self, memory: MemoryManager, key: str) -> None:
        """A key that is not text, is empty, too long, or not encodable is refused (C3)."""
        with pytest.raises(InvalidKeyError):
            memory.set(key, 1)
        with pytest.raises(InvalidKeyError):
            memory.get(key)
        assert memory.list_keys() == []

    def test_invalid_key_in_batch(self, memory: MemoryManager) -> None:
        """One invalid key keeps a whole batch from being written (C3)."""
        with pytest.raises(InvalidKeyError):
            memory.set_many({"a": 1, "b\0": 2})
        assert memory.list_keys() == []

    def test_invalid_prefix(self, memory_factory: MemoryFactory) -> None:
        """A key prefix over 128 characters, or with glob characters, is refused (C3)."""
        for prefix in ("p" * 129, "*", "a b", "é", "{", "%", "\\"):
            with pytest.raises(ConfigurationError):
                memory_factory.new_memory(prefix=prefix)

    def test_user_scope_needs_a_user(self, memory: MemoryManager) -> None:
        """User scope without a user id is an error, never a shared space (C4)."""
        for user in (None, ""):
            with pytest.raises(ScopeError):
                memory.set("k", 1, scope="user", user_id=user)
        assert memory.list_keys() == []

    def test_user_id_elsewhere(self, memory: MemoryManager) -> None:
        """A user id with a shared scope is an error, and nothing is written (C4)."""
        for scope in ("workflow", "organization", "global"):
            with pytest.raises(ScopeError):
                memory.set("k", 1, scope=scope, user_id="u")
            assert memory.list_keys(scope=scope) == []

    def test_organizations(self, memory_factory: MemoryFactory) -> None:
        """Each organization has its own memory, shared by its workflows (C5)."""
        one = memory_factory.new_memory("w1", organization_id="one")
        other = memory_factory.new_memory("w2", organization_id="one")
        foreign = memory_factory.new_memory("w1", organization_id="One")
        one.set("k", 1, scope="organization")
        assert other.get("k", scope="organization") == 1
        assert foreign.get("k", scope="organization") is None

    def test_views(self, memory: MemoryManager) -> None:
        """A view of one user reads and writes only that user's records (C4)."""
        view = memory.for_user("u:1")
        view.set("k", 1)
        assert memory.get("k", scope="user", user_id="u:1") == 1
        assert memory.for_user("u").list_keys() == []
        with pytest.raises(ScopeError):
            view.get("k", user_id="u")


class TestValues(ContractFixtures):
    """C7 to C9, and C25: values, and bytes that hold none."""

    backend = "memory"

    def test_plain_types(self, memory: MemoryManager) -> None:
        """Tuples are read as lists, and instances of subclasses as the plain type (C7)."""
        memory.set("k", (1, OrderedDict(b=(2,), a=())))
        assert repr(memory.get("k")) == "[1, {'b': [2], 'a': []}]"

    def test_not_the_callers_object(self, memory: MemoryManager) -> None:
        """Changing an object after set(), or one that get() returned, changes no record (C7)."""
        value = {"turns": [1]}
        memory.set("k", value)
        value["turns"].append(2)
        first = memory.get("k")
        first["turns"].append(3)
        assert memory.get("k") == {"turns": [1]}
        memory.append("list", value)
        value["turns"].append(4)
        assert memory.get("list") == [{"turns": [1, 2]}]

    @pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
    def test_refused_value(self, memory: MemoryManager, value: object) -> None:
        """A value that is not strict JSON is refused; the old value and its expiry stay (C7)."""
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

    def test_falsy_values(self, memory: MemoryManager) -> None:
        """False, 0, "" and empty containers are values, not absence (C9, C14)."""
        falsy: list[Any] = [False, 0, "", [], {}]
        for value in falsy:
            memory.set("k", value)
            assert memory.get("k", default="absent") == value
            assert memory.add("k", 1) is False

    def test_too_large_value(self, memory: MemoryManager) -> None:
        """A value over 16 MiB is refused, and the old one stays (C7)."""
        memory.set("k", "old")
        with pytest.raises(ValueTooLargeError):
            memory.set("k", "x" * 2**24)
        assert memory.get("k") == "old"

    def test_corrupt_record_is_not_changed(
        self, memory: MemoryManager, raw_store: StoreUnderTest
    ) -> None:
        """append, increment and update raise on corrupt bytes, and leave them (C8)."""
        raw_store.write(raw_store.address("k"), b"{oops")
        with pytest.raises(CorruptRecordError):
            memory.append("k", 1)
        with pytest.raises(CorruptRecordError):
            memory.increment("k")
        with pytest.raises(CorruptRecordError):
            memory.update("k", lambda value: value)
        assert memory.add("k", 1) is False
        assert raw_store.read(raw_store.address("k")) == b"{oops"

    def test_sealed_record_is_not_read(
        self, memory: MemoryManager, raw_store: StoreUnderTest
    ) -> None:
        """A sealed record raises if there is no key, and is not read as the default (C25)."""
        for data in SEALED:
            raw_store.write(raw_store.address("k"), data)
            with pytest.raises(DecryptionError):
                memory.get("k", default="default")


class TestExpiry(ContractFixtures):
    """C11 and C13: ttls."""

    backend = "memory"

    @pytest.mark.parametrize("ttl", INVALID_TTLS, ids=repr)
    def test_invalid_ttl(self, memory: MemoryManager, ttl: float) -> None:
        """A ttl that is not a number of seconds within limits is refused before the write (C11)."""
        memory.set("k", "old")
        with pytest.raises(InvalidArgumentError):
            memory.set("k", "new", ttl=ttl)
        with pytest.raises(InvalidArgumentError):
            memory.touch("k", ttl)
        with pytest.raises(InvalidArgumentError):
            memory.set_many({"k": "new"}, ttl=ttl)
        assert memory.get("k") == "old"
        assert memory.ttl("k") == math.inf

    def test_default_ttl(self, memory_factory: MemoryFactory) -> None:
        """A record gets the memory's default_ttl, unless the call has a ttl (C13)."""
        memory = memory_factory.new_memory(default_ttl=60)
        memory.set("set", 1)
        memory.add("add", 1)
        memory.increment("increment")
        memory.set_many({"many": 1})
        memory.set("own", 1, ttl=600)
        memory.set("ever", 1, ttl=NO_EXPIRY)
        for key in ("set", "add", "increment", "many"):
            assert 40 < (memory.ttl(key) or 0) <= 60
        assert 500 < (memory.ttl("own") or 0) <= 600
        assert memory.ttl("ever") == math.inf


class TestPatterns(ContractFixtures):
    """C15: patterns of keys."""

    backend = "memory"

    def test_invalid_patterns(self, memory: MemoryManager) -> None:
        """A pattern that no key can match lists nothing; one that is not text is refused (C15)."""
        memory.set("k", 1)
        for pattern in ("k\0*", "\ud800*", "k" * 1_001 + "*"):
            assert memory.list_keys(pattern=pattern) == []
        with pytest.raises(InvalidArgumentError):
            memory.list_keys(pattern=cast(Any, b"k*"))

    def test_patterns(self, memory: MemoryManager) -> None:
        """A pattern matches as in fnmatch.fnmatchcase, on any key (C15)."""
        memory.set_many(dict.fromkeys(HOSTILE, 0))
        for pattern in PATTERNS:
            matching = sorted(key for key in HOSTILE if fnmatchcase(key, pattern))
            assert memory.list_keys(pattern=pattern) == matching, pattern
            assert list(memory.iter_keys(pattern)) == matching, pattern


class TestChanges(ContractFixtures):
    """C14 and C16: the arguments of changes and batches, and the types of what they change."""

    backend = "memory"

    def test_increment_numbers(self, memory: MemoryManager) -> None:
        """Ints stay ints, of any size; a float makes the sum a float (C7, C16)."""
        assert repr(memory.increment("n")) == "1"
        assert repr(memory.increment("n", -3)) == "-2"
        assert repr(memory.increment("n", 2**70)) == repr(2**70 - 2)
        assert repr(memory.increment("x", 0.5)) == "0.5"
        assert repr(memory.increment("x", 1)) == "1.5"

    def test_append_keeps_the_newest(self, memory: MemoryManager) -> None:
        """Append adds each item as one element, and keeps the newest max_items (C16)."""
        assert memory.append("list", 1, [2], None) == 3
        assert memory.append("list", 4, max_items=2) == 2
        assert memory.get("list") == [None, 4]
        assert memory.append("list", 5, 6, 7, max_items=2) == 2
        assert memory.get("list") == [6, 7]

    def test_wrong_type(self, memory: MemoryManager) -> None:
        """Append and increment refuse a value of another type, and leave it (C16)."""
        memory.set("text", "abc", ttl=60)
        memory.set("flag", True)
        with pytest.raises(WrongTypeError):
            memory.append("text", "d")
        for key in ("text", "flag"):
            with pytest.raises(WrongTypeError):
                memory.increment(key)
        assert memory.get_many(["text", "flag"]) == {"text": "abc", "flag": True}

    def test_update_passes_errors_on(self, memory: MemoryManager) -> None:
        """An exception of an update's function passes through, and nothing is written (C16)."""
        memory.set("n", 0)
        with pytest.raises(ZeroDivisionError):
            memory.update("n", lambda value: 1 / value)
        assert memory.get("n") == 0

    def test_refused_before_a_request(self, memory: MemoryManager) -> None:
        """Append without items, and update without a function, are refused (C16)."""
        with pytest.raises(InvalidArgumentError):
            memory.append("k")
        with pytest.raises(InvalidArgumentError):
            memory.update("k", cast(Any, None))
        with pytest.raises(InvalidArgumentError):
            memory.increment("k", True)
        assert memory.list_keys() == []

    def test_invalid_batches(self, memory: MemoryManager) -> None:
        """A single text instead of keys, or a list instead of a mapping, is refused (C14)."""
        with pytest.raises(InvalidArgumentError):
            memory.get_many("abc")
        with pytest.raises(InvalidArgumentError):
            memory.delete_many("abc")
        with pytest.raises(InvalidArgumentError):
            memory.set_many(cast(Any, [("a", 1)]))
        assert memory.list_keys() == []
