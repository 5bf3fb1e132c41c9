"""Addresses: every record has one of its own, whatever the names are made of."""

import pytest

from fibonacci import ConfigurationError, InvalidKeyError, MemoryManager, ScopeError
from fibonacci.plugin import SCOPES
from fibonacci.testing.store.bench import Bench, Opener
from fibonacci.testing.store.samples import HOSTILE, crowded
from fibonacci.testing.store.spoken import Raw

UNFIT = ["", "a\0", "\ud800", "k" * 1001, "漢" * 334, b"k", 1, None, ["k"]]


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

    @pytest.mark.parametrize("key", UNFIT, ids=lambda key: repr(key)[:12])
    def test_unfit_keys(self, memory: MemoryManager, key: str) -> None:
        """A key that is no text, empty, too long, or not encodable is refused (C3)."""
        with pytest.raises(InvalidKeyError):
            memory.set(key, 1)
        with pytest.raises(InvalidKeyError):
            memory.get(key)
        assert memory.list_keys() == []

    def test_unfit_key_in_batch(self, memory: MemoryManager) -> None:
        """One unfit key keeps a whole batch from being written (C3)."""
        with pytest.raises(InvalidKeyError):
            memory.set_many({"a": 1, "b\0": 2})
        assert memory.list_keys() == []

    def test_unfit_prefix(self, opener: Opener) -> None:
        """A key prefix over 128 characters, or with glob characters, is refused (C3)."""
        for prefix in ("p" * 129, "*", "a b", "é", "{", "%", "\\"):
            with pytest.raises(ConfigurationError):
                opener.memory(prefix=prefix)

    def test_user_scope_needs_a_user(self, memory: MemoryManager) -> None:
        """User scope without a user id is an error, never a shared bucket (C4)."""
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

    def test_organizations(self, opener: Opener) -> None:
        """Organizations have a memory each, shared by their workflows (C5)."""
        one = opener.memory("w1", organization_id="one")
        other = opener.memory("w2", organization_id="one")
        foreign = opener.memory("w1", organization_id="One")
        one.set("k", 1, scope="organization")
        assert other.get("k", scope="organization") == 1
        assert foreign.get("k", scope="organization") is None

    def test_views(self, memory: MemoryManager) -> None:
        """A view of one user reads and writes that user's records alone (C4)."""
        view = memory.for_user("u:1")
        view.set("k", 1)
        assert memory.get("k", scope="user", user_id="u:1") == 1
        assert memory.for_user("u").list_keys() == []
        with pytest.raises(ScopeError):
            view.get("k", user_id="u")
