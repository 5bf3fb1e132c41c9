"""rewrap: keys change while others go on reading and writing."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from ciphers import ToyCipher, plugin

from fibonacci import (
    ConflictError,
    CorruptRecordError,
    DecryptionError,
    EncryptionError,
    FunctionNode,
    InvalidArgumentError,
    InvalidKeyError,
    MemoryConfig,
    MemoryManager,
    NodeExecutionError,
    OutcomeUnknownError,
    ScopeError,
    Workflow,
    register_plugin,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Cipher, Space

Rewrap = Callable[..., int]


class Interrupted(ToyCipher):
    """While it opens a record, somebody else comes between."""

    meanwhile: ClassVar[list[Callable[[], object]]] = []

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        plain = super().open(sealed, aad)
        for act in self.meanwhile:
            act()
        return plain


class Learning(ToyCipher):
    """A cipher that knows what it would seal with when it has opened a record."""

    opened = False

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        self.opened = True
        return super().open(sealed, aad)

    def is_current(self, sealed: bytes) -> bool:
        return self.opened and super().is_current(sealed)


class Forgetful(ToyCipher):
    """A cipher that does not know what it is sealed with."""

    is_current = Cipher.is_current


@pytest.fixture(autouse=True)
def ciphers() -> Iterator[None]:
    Interrupted.meanwhile.clear()
    with (
        register_plugin("encryption", "toy", plugin(lambda settings: ToyCipher(settings.keys))),
        register_plugin("encryption", "slow", plugin(lambda settings: Forgetful(settings.keys))),
        register_plugin("encryption", "late", plugin(lambda settings: Learning(settings.keys))),
        register_plugin("encryption", "cut", plugin(lambda settings: Interrupted(settings.keys))),
    ):
        yield


@pytest.fixture
def store() -> LocalStore:
    return LocalStore()


@pytest.fixture(params=["sync", "async"])
def rewrap(request: pytest.FixtureRequest) -> Rewrap:
    """The operation, in sync or async code."""
    if request.param == "sync":
        return lambda memory, *args, **named: memory.rewrap(*args, **named)
    return lambda memory, *args, **named: asyncio.run(memory.arewrap(*args, **named))


def memory_of(store: LocalStore, *keys: str, cipher: str = "toy", **fields: Any) -> MemoryManager:
    config = MemoryConfig(
        store, encryption_key=keys, encrypt_values=True, encryption=cipher, **fields
    )
    return Workflow("w", config).memory


def plain_memory(store: LocalStore, **fields: Any) -> MemoryManager:
    return Workflow("w", MemoryConfig(store, encryption="toy", **fields)).memory


def raw(store: LocalStore, key: str) -> bytes | None:
    return store.read(Address(Space("fibonacci:", "workflow", "w"), key), deadline=0)


FLEETS = [
    ("add the new key, second", ["old"], ["old", "new"]),
    ("promote it", ["old", "new"], ["new", "old"]),
    ("rewrap", ["new", "old"], ["new", "old"]),
    ("remove the old key", ["new", "old"], ["new"]),
]
"""What is rolled out in each step, with the keys of the machines that it has not reached yet, and
of those that it has."""


def test_key_rotation_of_a_fleet_loses_no_read(store: LocalStore, rewrap: Rewrap) -> None:
    """Two versions of an app read every record at every step of a key rotation (C24)."""
    memory_of(store, "old").set_many({"ancient": ["old"], "other": 1})
    for step, before, after in FLEETS:
        fleet = [memory_of(store, *before), memory_of(store, *after)]
        for number, writer in enumerate(fleet):
            writer.set(f"{step} {number}", step)
            writer.append("ancient", step)
            for reader in fleet:
                assert reader.get(f"{step} {number}") == step
                assert reader.get("ancient")[-1] == step
                assert len(reader.get_many(reader.list_keys())) == len(reader.list_keys())
        if step == "rewrap":
            rewrap(fleet[0])
            assert all(memory_of(store, "new").get_many(fleet[0].list_keys()).values())
    assert memory_of(store, "new").get("other") == 1


def test_rewrap_leaves_current_records(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() returns the number of changed records; a second call changes nothing."""
    memory_of(store, "old").set_many({"a": 1, "b": 2})
    memory = memory_of(store, "new", "old")
    memory.set("c", 3)
    before = raw(store, "c")
    assert rewrap(memory) == 2
    assert raw(store, "c") == before
    assert rewrap(memory) == 0
    assert memory_of(store, "new").get_many(["a", "b", "c"]) == {"a": 1, "b": 2, "c": 3}


def test_cipher_without_is_current_reseals_all_records(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() seals all records again if the cipher has no is_current() of its own."""
    memory = memory_of(store, "key", cipher="slow")
    memory.set_many({"a": 1, "b": 2})
    before = raw(store, "a")
    assert rewrap(memory) == 2
    assert raw(store, "a") != before
    assert memory.get_many(["a", "b"]) == {"a": 1, "b": 2}


def test_rewrap_calls_is_current_again_after_open(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() calls is_current() again after open(), so a new process reseals nothing."""
    memory_of(store, "old").set("a", 1)
    memory_of(store, "new").set_many({"b": 2, "c": 3})
    assert rewrap(memory_of(store, "new", "old", cipher="late")) == 1
    before = raw(store, "a")
    assert rewrap(memory_of(store, "new", "old", cipher="late")) == 0
    assert raw(store, "a") == before


def test_rewrap_keeps_the_expiry(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() leaves the expiry of a record, and a record without one (C13)."""
    old = memory_of(store, "old", default_ttl=50)
    old.set("default", 1)
    old.set("long", 1, ttl=1000)
    memory_of(store, "old").set("for ever", 1)
    memory = memory_of(store, "new", "old", default_ttl=50)
    assert rewrap(memory) == 3
    assert memory.ttl("default") == pytest.approx(50, abs=2)
    assert memory.ttl("long") == pytest.approx(1000, abs=2)
    assert memory.ttl("for ever") == float("inf")


def test_rewrap_changes_one_scope(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() changes one scope of one owner; a view's rewrap() changes the view's (C6)."""
    old = memory_of(store, "old")
    old.set("k", 1)
    old.set("k", 2, scope="user", user_id="ann")
    old.set("k", 3, scope="user", user_id="bob")
    old.for_organization("acme").set("k", 4)
    memory = memory_of(store, "new", "old")
    assert rewrap(memory, "user", "ann") == 1
    assert rewrap(memory.for_user("bob")) == 1
    assert rewrap(memory.for_organization("acme")) == 1
    new = memory_of(store, "new")
    assert new.get("k", scope="user", user_id="ann") == 2
    assert new.for_user("bob").get("k") == 3
    assert new.for_organization("acme").get("k") == 4
    with pytest.raises(DecryptionError):
        new.get("k")
    with pytest.raises(ScopeError):
        rewrap(memory, "user")


def test_run_memory_has_rewrap(store: LocalStore) -> None:
    """The memory of a run has rewrap() too."""
    memory_of(store, "old").set("k", 1, scope="user", user_id="ann")
    config = MemoryConfig(
        store, encryption_key=["new", "old"], encrypt_values=True, encryption="toy"
    )
    workflow = Workflow("w", config)
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.memory.rewrap(scope="user")))
    assert workflow.execute(user_id="ann")["n"] == 1
    workflow.add_node(FunctionNode("all", lambda ctx: ctx.memory.rewrap()))
    with pytest.raises(NodeExecutionError, match="the run has a user: name the scope"):
        workflow.execute(user_id="ann")


def test_rewrap_reports_progress(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() calls progress with the last key and the number of records, in order."""
    keys = [f"k{number:04}" for number in range(1_150)]
    memory_of(store, "old").set_many(dict.fromkeys(keys, 1))
    calls: list[tuple[str, int]] = []
    memory = memory_of(store, "new", "old")
    assert rewrap(memory, progress=lambda key, seen: calls.append((key, seen))) == 1_150
    assert calls == [
        (keys[min(seen, 1_150) - 1], min(seen, 1_150)) for seen in range(100, 1201, 100)
    ]


def test_rewrap_of_an_empty_scope_does_nothing(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() of an empty scope calls no progress and returns 0."""
    assert rewrap(memory_of(store, "key"), progress=lambda key, seen: pytest.fail(key)) == 0


def test_second_call_completes_a_failed_rewrap(store: LocalStore, rewrap: Rewrap) -> None:
    """A second rewrap() completes one that raised, and changes no record twice."""
    keys = [f"k{number:03}" for number in range(250)]
    memory_of(store, "old").set_many(dict.fromkeys(keys, 1))
    memory = memory_of(store, "new", "old")

    def stop(key: str, seen: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrap(memory, progress=stop)
    first, last = raw(store, "k000"), raw(store, "k249")
    assert rewrap(memory) == 150
    assert raw(store, "k000") == first
    assert raw(store, "k249") != last


class Lossy(LocalStore):
    """The third answer to a compare-and-set is lost; the change was applied."""

    calls = 0

    def compare_and_set(self, *args: Any, **named: Any) -> bool:
        done = super().compare_and_set(*args, **named)
        self.calls += 1
        if self.calls == 3:
            raise OutcomeUnknownError("the answer was lost")
        return done


def test_rewrap_raises_after_a_lost_response(rewrap: Rewrap) -> None:
    """rewrap() raises OutcomeUnknownError for a lost response; a second call completes it (C16)."""
    store = Lossy()
    memory_of(store, "old").set_many(dict.fromkeys("abcde", 1))
    memory = memory_of(store, "new", "old")
    with pytest.raises(OutcomeUnknownError):
        rewrap(memory)
    assert rewrap(memory) == 2
    assert memory_of(store, "new").get_many(["a", "b", "c", "d", "e"]) == dict.fromkeys("abcde", 1)


def test_rewrap_starts_after_a_key(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap(start_after=...) starts after a key, which need not exist, in listing order."""
    memory_of(store, "old").set_many({"a": 1, "b": 2, "c": 3})
    memory = memory_of(store, "new", "old")
    calls: list[tuple[str, int]] = []
    assert rewrap(memory, start_after="aa", progress=lambda *args: calls.append(args)) == 2
    assert calls == [("c", 2)]
    assert rewrap(memory, start_after="c") == 0
    assert rewrap(memory) == 1


@pytest.mark.parametrize("data", [b"\x80 not sealed by us", b"1", b"[1"])
def test_rewrap_stops_at_a_record_that_does_not_open(
    store: LocalStore, rewrap: Rewrap, data: bytes
) -> None:
    """rewrap() names a record that does not open; ``start_after`` its key skips it (C25)."""
    memory_of(store, "old").set_many({"a": 1, "b": 2, "c": 3})
    store.write(Address(Space("fibonacci:", "workflow", "w"), "b"), data, None, deadline=0)
    memory = memory_of(store, "new", "old")
    with pytest.raises(DecryptionError):
        rewrap(memory)
    assert raw(store, "b") == data
    assert memory_of(store, "new").get("a") == 1
    assert rewrap(memory, start_after="b") == 1
    assert memory_of(store, "new").get("c") == 3


def test_rewrap_keeps_a_concurrent_change(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() leaves value, expiry and seal of a record that another writer changes (C16)."""
    memory_of(store, "old").set("k", "before")
    memory = memory_of(store, "new", "old", cipher="cut")
    new = memory_of(store, "new")
    Interrupted.meanwhile.append(lambda: new.set("k", "after", ttl=60))
    assert rewrap(memory) == 0
    assert memory_of(store, "new").get("k") == "after"
    assert memory.ttl("k") == pytest.approx(60, abs=2)


def test_rewrap_reseals_a_concurrent_write_with_the_old_key(
    store: LocalStore, rewrap: Rewrap
) -> None:
    """rewrap() seals a record again that another writer meanwhile sealed with the old key (C16)."""
    old = memory_of(store, "old")
    old.set("n", 0)
    memory = memory_of(store, "new", "old", cipher="cut")

    def change() -> None:
        if old.increment("n") == 3:
            Interrupted.meanwhile.clear()

    Interrupted.meanwhile.append(change)
    assert rewrap(memory) == 1
    assert memory_of(store, "new").get("n") == 3


def test_rewrap_restores_no_deleted_record(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() does not restore a record that another deletes meanwhile (C14)."""
    memory_of(store, "old").set("k", 1)
    memory = memory_of(store, "new", "old", cipher="cut")
    Interrupted.meanwhile.append(lambda: memory.delete("k"))
    assert rewrap(memory) == 0
    assert not memory.exists("k")


def test_rewrap_of_a_contended_record_times_out(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() of a record that keeps changing raises at the deadline, and names it (C16)."""
    old = memory_of(store, "old")
    old.set("k", 1)
    memory = memory_of(store, "new", "old", cipher="cut", timeout=0.1)
    Interrupted.meanwhile.append(lambda: old.increment("k"))
    with pytest.raises(ConflictError, match="gave up on 'k' in workflow scope of 'w'"):
        rewrap(memory)


def test_rewrap_seals_plain_records(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() seals plain records (C25); exact numbers stay exact."""
    plain_memory(store).set_many({"a": {"ssn": "123-45-6789"}, "b": 2**70})
    memory = memory_of(store, "key", plaintext_reads="allow")
    assert rewrap(memory) == 2
    assert rewrap(memory) == 0
    strict = memory_of(store, "key")
    assert strict.get_many(["a", "b"]) == {"a": {"ssn": "123-45-6789"}, "b": 2**70}


def test_rewrap_refuses_corrupt_records(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() does not seal a corrupt record, which would look valid (C8)."""
    store.write(Address(Space("fibonacci:", "workflow", "w"), "k"), b"[1", None, deadline=0)
    with pytest.raises(CorruptRecordError):
        rewrap(memory_of(store, "key", plaintext_reads="allow"))
    assert raw(store, "k") == b"[1"


def test_rewrap_decrypts_without_encrypt_values(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() with encryption off and plain reads allowed writes plain records, as set() does."""
    memory_of(store, "key").set_many({"a": 1, "b": [2]})
    memory = plain_memory(store, encryption_key="key", plaintext_reads="allow")
    memory.set("c", 3)
    assert rewrap(memory) == 2
    assert [raw(store, key) for key in "abc"] == [b"1", b"[2]", b"3"]
    assert rewrap(memory) == 0


def test_rewrap_needs_encryption(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() without encryption raises EncryptionError, and does not return 0."""
    memory = plain_memory(store)
    memory.set("k", 1)
    with pytest.raises(EncryptionError) as caught:
        rewrap(memory)
    assert str(caught.value) == (
        "this memory has no encryption, so there is nothing to rewrap: set "
        "encrypt_values=True and encryption_key in its MemoryConfig"
    )


def test_rewrap_checks_its_arguments(store: LocalStore, rewrap: Rewrap) -> None:
    """rewrap() checks its arguments before it reads anything."""
    memory = memory_of(store, "key")
    with pytest.raises(InvalidArgumentError, match="progress must be a function"):
        rewrap(memory, progress=1)
    with pytest.raises(InvalidKeyError):
        rewrap(memory, start_after="")
    with pytest.raises(TypeError):
        rewrap(memory, "workflow", None, "k")
