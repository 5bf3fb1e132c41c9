"""What clear and list_keys touch: exactly one space."""

from fibonacci import MemoryManager
from fibonacci.testing.store.bench import Bench, Opener
from fibonacci.testing.store.spoken import Raw

OWNERS = ["a", "a:", "a:b", "ab", "A", "a%", "a_", "a*", "*", "%", "_", "[a]", "b"]


class Spaces(Bench):
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

    def test_clear_one_prefix(self, opener: Opener) -> None:
        """Clearing leaves records under key prefixes that contain or continue its own (C6)."""
        own = opener.memory(prefix="a")
        others = [opener.memory(prefix=prefix) for prefix in ("", "a:", "ab", "A", "av1:w:w:")]
        for memory in (own, *others):
            memory.set_many({"k": 1, "v1:w:w:k": 1})
        own.clear()
        assert own.list_keys() == []
        for memory in others:
            assert memory.list_keys() == ["k", "v1:w:w:k"]

    def test_clear_empty(self, memory: MemoryManager) -> None:
        """Clearing an empty scope is fine, and says True (C6, C14)."""
        assert memory.clear() is True
        assert memory.clear() is True

    def test_clear_takes_expiring_records(self, memory: MemoryManager) -> None:
        """Clearing takes records with and without an expiry (C6)."""
        memory.set("a", 1)
        memory.set("b", 1, ttl=60)
        memory.clear()
        assert memory.get_many(["a", "b"]) == {}
        memory.set("b", 2)
        assert memory.list_keys() == ["b"]

    def test_clear_many(self, memory: MemoryManager) -> None:
        """Clearing takes all records of a scope, however many, and no neighbour's (C6)."""
        memory.set_many({f"k{number}": number for number in range(self.many)})
        memory.set("k", 1, scope="user", user_id="w")
        assert memory.clear() is True
        assert memory.list_keys() == []
        assert memory.get_many([f"k{number}" for number in range(self.many)]) == {}
        assert memory.list_keys(scope="user", user_id="w") == ["k"]

    def test_clear_in_steps(self, raw: Raw) -> None:
        """The steps of a store's clear come to an end, and empty the space (C6)."""
        space = raw.space()
        raw.write_many([(raw.address(f"{number:03}"), b"0") for number in range(50)])
        raw.write(raw.address("000", owner="w2"), b"0")
        raw.clear(space)
        assert raw.keys(space) == []
        assert raw.read(raw.address("000", owner="w2")) == b"0"
