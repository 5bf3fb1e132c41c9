"""Addresses: every record has one of its own, whatever the names are made of."""

from fibonacci import MemoryManager
from fibonacci.plugin import SCOPES
from fibonacci.testing.store.bench import Bench, Opener
from fibonacci.testing.store.samples import HOSTILE, crowded
from fibonacci.testing.store.spoken import Raw


class Addresses(Bench):
    """C1 to C5."""

    def test_hostile_keys(self, memory: MemoryManager) -> None:
        """Keys of any characters, prefixes of one another included, hold a value each (C1, C2)."""
        for number, key in enumerate(HOSTILE):
            memory.set(key, number)
        assert [memory.get(key) for key in HOSTILE] == list(range(len(HOSTILE)))

    def test_hostile_keys_listed(self, memory: MemoryManager) -> None:
        """Keys are listed as they were given, character by character (C1, C2, C14)."""
        memory.set_many(dict.fromkeys(HOSTILE, 0))
        assert memory.list_keys() == sorted(HOSTILE)

    def test_hostile_users(self, memory: MemoryManager) -> None:
        """User ids of any characters have a memory each (C1, C2)."""
        for number, user in enumerate(HOSTILE):
            memory.set("k", number, scope="user", user_id=user)
        found = [memory.get("k", scope="user", user_id=user) for user in HOSTILE]
        assert found == list(range(len(HOSTILE)))

    def test_hostile_workflows(self, opener: Opener) -> None:
        """Workflow names of any characters have a memory each (C1, C2)."""
        memories = [opener.memory(name) for name in HOSTILE]
        for number, memory in enumerate(memories):
            memory.set("k", number)
        assert [memory.get("k") for memory in memories] == list(range(len(HOSTILE)))

    def test_hostile_prefixes(self, opener: Opener) -> None:
        """Key prefixes that contain or continue one another part the memories (C1)."""
        prefixes = ["", "a", "a:", "a:b", "A", "v1:w:w:", "v1:g::", "'", '"', "~!@#$^&()+=,.;<>/|`"]
        memories = [opener.memory(prefix=prefix) for prefix in prefixes]
        for number, memory in enumerate(memories):
            memory.set("k", number)
            memory.set(f"only{number}", number)
        for number, memory in enumerate(memories):
            assert memory.get("k") == number
            assert memory.list_keys() == ["k", f"only{number}"]

    def test_scopes_part(self, memory: MemoryManager) -> None:
        """The same key holds another value in each of the four scopes (C1)."""
        users = {"user": "w"}
        for scope in SCOPES:
            memory.set("k", scope, scope=scope, user_id=users.get(scope))
        found = [memory.get("k", scope=scope, user_id=users.get(scope)) for scope in SCOPES]
        assert found == list(SCOPES)

    def test_crowded_addresses(self, raw: Raw) -> None:
        """Records whose parts join to the same text are read apart (C1)."""
        addresses = crowded(raw.space().prefix)
        for address in addresses:
            raw.own(address.space)
        raw.write_many([(one, one.text.encode()) for one in addresses])
        for one in addresses:
            assert raw.read(one) == one.text.encode(), one

    def test_crowded_spaces(self, raw: Raw) -> None:
        """A space lists its own keys and no key of a neighbour (C1, C6)."""
        addresses = crowded(raw.space().prefix)
        for address in addresses:
            raw.own(address.space)
        raw.write_many([(one, b"0") for one in addresses])
        for space in {one.space for one in addresses}:
            own = sorted(one.key for one in addresses if one.space == space)
            assert raw.keys(space) == own, space

    def test_crowded_removals(self, raw: Raw) -> None:
        """Removing a record leaves those whose names are alike (C1)."""
        addresses = crowded(raw.space().prefix)
        for address in addresses:
            raw.own(address.space)
        raw.write_many([(one, b"0") for one in addresses])
        gone = addresses[::2]
        assert all(raw.remove(one) for one in gone)
        assert raw.read_many(addresses[1::2]) == [b"0"] * len(addresses[1::2])
        assert raw.read_many(gone) == [None] * len(gone)

    def test_largest_names(self, opener: Opener) -> None:
        """Key, owner and prefix may all be as long as the limits allow (C3)."""
        prefix = "p" * (128 - len(opener.prefix))
        name = "漢" * 333 + "k"
        memory = opener.memory(name, prefix=prefix)
        keys = ["k" * 1000, "k" * 999 + "l", "漢" * 333 + "j", name]
        for key in keys:
            memory.set(key, key, ttl=60)
            assert memory.append(key, "x", scope="user", user_id=name) == 1
        assert memory.get_many(keys) == {key: key for key in keys}
        assert memory.list_keys() == keys
