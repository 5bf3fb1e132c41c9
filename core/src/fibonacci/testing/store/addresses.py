"""Addresses and spaces: no two records meet, and names come back as they were."""

from fibonacci import MemoryManager
from fibonacci.plugin import SCOPES, Address, Space
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory, StoreUnderTest

HOSTILE = [
    "a",
    "A",
    "a ",
    " a",
    "aa",
    "a:",
    ":a",
    "a:b",
    "a::b",
    "a%3Ab",
    "a%",
    "%",
    "_",
    "*",
    "a*",
    "?",
    "[a]",
    "a[b",
    "{a}",
    "}{",
    "'",
    '"',
    "a'; --",
    "\\",
    "a\\b",
    "/",
    "../a",
    "a|b",
    "a,b",
    "#",
    "\n",
    "a\n",
    "\t",
    "\x01",
    "\x7f",
    "\x85",
    "null",
    "0",
    "00",
    "1e3",
    "é",
    "e\u0301",
    "ß",
    "ss",
    "\u0131",
    "\u0130",
    "漢字",
    "\ue000",
    "\ufffd",
    "\uffff",
    "😀",
    "😀😀",
    "\U0001d4b3",
    "v1:w:x:a",
    "v1:g::a",
    "k" * 1000,
    "k" * 999,
    "漢" * 333,
    "😀" * 250,
]
"""Keys, owners and ids: all of them allowed, no two of them equal."""


def crowded(prefix: str) -> list[Address]:
    """Return addresses that meet wherever parts are joined without care."""
    spaces = [
        Space(prefix, "workflow", "a"),
        Space(prefix, "workflow", "A"),
        Space(prefix, "workflow", "a:b"),
        Space(prefix, "workflow", "ab"),
        Space(prefix, "user", "a"),
        Space(prefix, "organization", "a"),
        Space(prefix, "global", ""),
        Space(prefix, "workflow", "global"),
        Space(prefix, "workflow", "w" * 1000),
        Space(prefix, "workflow", "w" * 999),
        Space(prefix, "user", "漢" * 333),
        Space(prefix, "workflow", "é"),
        Space(prefix, "workflow", "e\u0301"),
        Space(prefix, "workflow", "%"),
        Space(prefix, "workflow", "a%"),
        Space(prefix, "workflow", "a_"),
        Space(prefix + ":", "workflow", "a"),
        Space(prefix + "a", "workflow", "a"),
        Space(prefix + "v1:w:a:", "workflow", "a"),
        Space(prefix + "v1:g::", "global", ""),
        Space(prefix + ":user", "workflow", "a"),
        Space(prefix, "user", "workflow:a"),
        Space(prefix.upper(), "workflow", "a"),
        Space((prefix + "p" * 128)[:128], "workflow", "a"),
    ]
    keys = ["a", "b:a", ":a", "a:", "b", "v1:w:a:a", "v1:g::a", "A", "_", "%", "1", "\ufffd", "😀"]
    return [Address(space, key) for space in spaces for key in keys]


class AddressTests(ContractFixtures):
    """C1 to C5."""

    def test_hostile_keys(self, memory: MemoryManager) -> None:
        """Keys of any characters, even prefixes of one another, have their own values (C1, C2)."""
        for number, key in enumerate(HOSTILE):
            memory.set(key, number)
        assert [memory.get(key) for key in HOSTILE] == list(range(len(HOSTILE)))

    def test_hostile_keys_listed(self, memory: MemoryManager) -> None:
        """Keys are listed as they were written, character by character (C1, C2, C14)."""
        memory.set_many(dict.fromkeys(HOSTILE, 0))
        assert memory.list_keys() == sorted(HOSTILE)

    def test_hostile_users(self, memory: MemoryManager) -> None:
        """User ids of any characters have their own memories (C1, C2)."""
        for number, user in enumerate(HOSTILE):
            memory.set("k", number, scope="user", user_id=user)
        found = [memory.get("k", scope="user", user_id=user) for user in HOSTILE]
        assert found == list(range(len(HOSTILE)))

    def test_hostile_workflows(self, memory_factory: MemoryFactory) -> None:
        """Workflow names of any characters have their own memories (C1, C2)."""
        memories = [memory_factory.new_memory(name) for name in HOSTILE]
        for number, memory in enumerate(memories):
            memory.set("k", number)
        assert [memory.get("k") for memory in memories] == list(range(len(HOSTILE)))

    def test_hostile_prefixes(self, memory_factory: MemoryFactory) -> None:
        """Key prefixes that contain or continue one another separate the memories (C1)."""
        prefixes = ["", "a", "a:", "a:b", "A", "v1:w:w:", "v1:g::", "'", '"', "~!@#$^&()+=,.;<>/|`"]
        memories = [memory_factory.new_memory(prefix=prefix) for prefix in prefixes]
        for number, memory in enumerate(memories):
            memory.set("k", number)
            memory.set(f"only{number}", number)
        for number, memory in enumerate(memories):
            assert memory.get("k") == number
            assert memory.list_keys() == ["k", f"only{number}"]

    def test_scopes_are_separate(self, memory: MemoryManager) -> None:
        """The same key has its own value in each of the four scopes (C1)."""
        users = {"user": "w"}
        for scope in SCOPES:
            memory.set("k", scope, scope=scope, user_id=users.get(scope))
        found = [memory.get("k", scope=scope, user_id=users.get(scope)) for scope in SCOPES]
        assert found == list(SCOPES)

    def test_ambiguous_addresses(self, raw_store: StoreUnderTest) -> None:
        """Records whose parts join to the same text are distinct (C1)."""
        addresses = crowded(raw_store.space().prefix)
        for address in addresses:
            raw_store.register(address.space)
        raw_store.write_many([(address, address.text.encode()) for address in addresses])
        for address in addresses:
            assert raw_store.read(address) == address.text.encode(), address

    def test_ambiguous_spaces(self, raw_store: StoreUnderTest) -> None:
        """A space lists its own keys and no key of a similar space (C1, C6)."""
        addresses = crowded(raw_store.space().prefix)
        for address in addresses:
            raw_store.register(address.space)
        raw_store.write_many([(address, b"0") for address in addresses])
        for space in {address.space for address in addresses}:
            own = sorted(address.key for address in addresses if address.space == space)
            assert raw_store.keys(space) == own, space

    def test_ambiguous_removals(self, raw_store: StoreUnderTest) -> None:
        """Removing a record leaves records with similar names (C1)."""
        addresses = crowded(raw_store.space().prefix)
        for address in addresses:
            raw_store.register(address.space)
        raw_store.write_many([(address, b"0") for address in addresses])
        gone = addresses[::2]
        assert all(raw_store.remove(address) for address in gone)
        assert raw_store.read_many(addresses[1::2]) == [b"0"] * len(addresses[1::2])
        assert raw_store.read_many(gone) == [None] * len(gone)

    def test_longest_names(self, memory_factory: MemoryFactory) -> None:
        """Key, owner and prefix may all be as long as the limits allow (C3)."""
        prefix = "p" * (128 - len(memory_factory.prefix))
        name = "漢" * 333 + "k"
        memory = memory_factory.new_memory(name, prefix=prefix)
        keys = ["k" * 1000, "k" * 999 + "l", "漢" * 333 + "j", name]
        for key in keys:
            memory.set(key, key, ttl=60)
            assert memory.append(key, "x", scope="user", user_id=name) == 1
        assert memory.get_many(keys) == {key: key for key in keys}
        assert memory.list_keys() == keys


OWNERS = ["a", "a:", "a:b", "ab", "A", "a%", "a_", "a*", "*", "%", "_", "[a]", "b"]


class SpaceTests(ContractFixtures):
    """C6."""

    def test_clear_one_user(self, memory: MemoryManager) -> None:
        """Clearing one user's memory leaves users with similar ids (C6)."""
        for user in OWNERS:
            memory.set("k", user, scope="user", user_id=user)
        for user in ("a", "*", "%", "_", "[a]"):
            assert memory.clear(scope="user", user_id=user) is True
            assert memory.list_keys(scope="user", user_id=user) == []
        left = [user for user in OWNERS if memory.exists("k", scope="user", user_id=user)]
        assert left == ["a:", "a:b", "ab", "A", "a%", "a_", "a*", "b"]

    def test_clear_one_scope(self, memory: MemoryManager) -> None:
        """Clearing one scope leaves the other three (C6)."""
        for scope in ("workflow", "organization", "global"):
            memory.set("k", 1, scope=scope)
        memory.set("k", 1, scope="user", user_id="w")
        memory.clear(scope="global")
        assert memory.exists("k", scope="global") is False
        assert memory.exists("k", scope="organization")
        assert memory.exists("k", scope="user", user_id="w")
        memory.clear()
        assert memory.exists("k") is False
        assert memory.exists("k", scope="organization")
        assert memory.exists("k", scope="user", user_id="w")

    def test_clear_one_prefix(self, memory_factory: MemoryFactory) -> None:
        """Clearing leaves records under key prefixes that contain or continue its own (C6)."""
        own = memory_factory.new_memory(prefix="a")
        others = [
            memory_factory.new_memory(prefix=prefix) for prefix in ("", "a:", "ab", "A", "av1:w:w:")
        ]
        for memory in (own, *others):
            memory.set_many({"k": 1, "v1:w:w:k": 1})
        own.clear()
        assert own.list_keys() == []
        for memory in others:
            assert memory.list_keys() == ["k", "v1:w:w:k"]

    def test_clear_empty(self, memory: MemoryManager) -> None:
        """Clearing an empty scope returns True (C6, C14)."""
        assert memory.clear() is True
        assert memory.clear() is True

    def test_clear_removes_expiring_records(self, memory: MemoryManager) -> None:
        """Clearing removes records with and without an expiry (C6)."""
        memory.set("a", 1)
        memory.set("b", 1, ttl=60)
        memory.clear()
        assert memory.get_many(["a", "b"]) == {}
        memory.set("b", 2)
        assert memory.list_keys() == ["b"]

    def test_clear_many(self, memory: MemoryManager) -> None:
        """Clearing removes all records of a scope, in any number, and no other's (C6)."""
        memory.set_many({f"k{number}": number for number in range(self.bulk_size)})
        memory.set("k", 1, scope="user", user_id="w")
        assert memory.clear() is True
        assert memory.list_keys() == []
        assert memory.get_many([f"k{number}" for number in range(self.bulk_size)]) == {}
        assert memory.list_keys(scope="user", user_id="w") == ["k"]

    def test_clear_in_steps(self, raw_store: StoreUnderTest) -> None:
        """The steps of a store's clear end, and empty the space (C6)."""
        space = raw_store.space()
        raw_store.write_many([(raw_store.address(f"{number:03}"), b"0") for number in range(50)])
        raw_store.write(raw_store.address("000", owner="w2"), b"0")
        raw_store.clear(space)
        assert raw_store.keys(space) == []
        assert raw_store.read(raw_store.address("000", owner="w2")) == b"0"
