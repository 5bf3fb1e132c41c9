"""Sealed records: bound to their address, distinct from plain ones, and opened only with a key."""

import asyncio
import math
import traceback
from typing import Any

import pytest
from ciphers import ToyCipher, plugin

from fibonacci import (
    CorruptRecordError,
    DecryptionError,
    EncryptionError,
    MemoryConfig,
    SerializationError,
    ValueTooLargeError,
    Workflow,
    WrongTypeError,
    register_plugin,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Cipher, CipherSettings, Space

CANARY = "canary-3f9a"


class Answering(Cipher):
    """A cipher that returns what it was set to return."""

    def __init__(self, sealed: Any, opened: bytes = b"1") -> None:
        self.sealed, self.opened = sealed, opened

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        return self.sealed

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        return self.opened


@pytest.fixture(autouse=True)
def toy_cipher():
    """The toy is registered under a name of its own."""
    with register_plugin("encryption", "toy", plugin(lambda settings: ToyCipher(settings.keys))):
        yield


@pytest.fixture
def store() -> LocalStore:
    """The store that all the memories of a test look into."""
    return LocalStore()


def sealed(store: LocalStore, keys: Any = "key", **fields: Any):
    config = MemoryConfig(
        store, encryption_key=keys, encrypt_values=True, encryption="toy", **fields
    )
    return Workflow("w", config).memory


def plain(store: LocalStore, **fields: Any):
    return Workflow("w", MemoryConfig(store, encryption="toy", **fields)).memory


def address(key: str = "k", scope: Any = "workflow", owner: str = "w") -> Address:
    return Address(Space("fibonacci:", scope, owner), key)


def raw(store: LocalStore, key: str = "k") -> bytes:
    data = store.read(address(key), deadline=0)
    assert data is not None
    return data


def plant(store: LocalStore, data: bytes, where: Address | None = None) -> None:
    store.write(where or address(), data, None, deadline=0)


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": [1, 2**70, -0.0, "é\0"]}, "x" * 10_000])
def test_sealed_value_is_read_exactly(store, value: Any):
    """C24: a sealed value is read exactly as it was set."""
    memory = sealed(store)
    memory.set("k", value)
    assert repr(memory.get("k")) == repr(value)


def test_store_sees_no_value(store):
    """C24: a sealed record starts with 0x80 or above, and shows nothing of the value."""
    sealed(store).set("k", {"ssn": CANARY})
    assert raw(store)[0] >= 0x80
    assert CANARY.encode() not in raw(store)
    assert b"ssn" not in raw(store)


def test_first_byte_of_a_plain_record_is_below_0x80(store):
    """C25: a plain record starts with JSON, or with a space and JSON."""
    memory = plain(store)
    memory.set("k", [1])
    assert raw(store) == b"[1]"
    memory.set("k", [2**64])
    assert raw(store) == b" [18446744073709551616]"


def test_sync_operations_work_on_sealed_records(store):
    """C24: all sync operations work on sealed records, compare-and-set too."""
    memory = sealed(store)
    assert memory.add("k", [1]) is True
    assert memory.add("k", [2]) is False
    assert memory.append("k", 2, 3) == 3
    assert memory.append("k", 4, max_items=2) == 2
    assert memory.update("k", lambda turns: turns[::-1]) == [4, 3]
    assert memory.increment("n", 2) == 2
    assert memory.increment("n", 0.5) == 2.5
    assert memory.set_many({"a": 1, "b": None})
    assert memory.get_many(["a", "b", "absent"]) == {"a": 1, "b": None}
    assert memory.update("new", lambda old: [old], default={"d": 1}) == [{"d": 1}]
    assert all(raw(store, key)[0] >= 0x80 for key in memory.list_keys())


def test_async_operations_work_on_sealed_records(store):
    """C24: all async operations work on sealed records."""

    async def use() -> None:
        memory = sealed(store)
        await memory.aset("k", [1])
        assert await memory.aappend("k", 2) == 2
        assert await memory.aget("k") == [1, 2]
        assert await memory.aincrement("n") == 1

    asyncio.run(use())
    assert sealed(store).get("k") == [1, 2]


def test_wrong_type_leaves_the_sealed_record(store):
    """append() and increment() of a wrong type show the type, not the value, and change nothing."""
    memory = sealed(store)
    memory.set("k", {"secret": CANARY})
    before = raw(store)
    for operation in (lambda: memory.append("k", 1), lambda: memory.increment("k")):
        with pytest.raises(WrongTypeError) as caught:
            operation()
        assert CANARY not in str(caught.value)
    assert raw(store) == before


def test_append_keeps_the_expiry_of_a_sealed_record(store):
    """C13: append() keeps the expiry of a record, sealed or not."""
    memory = sealed(store)
    memory.set("k", [1], ttl=100)
    memory.append("k", 2)
    assert memory.ttl("k") == pytest.approx(100, abs=1)


@pytest.mark.parametrize(
    "where",
    [
        address("other"),
        address("k", "user", "w"),
        address("k", "workflow", "other"),
        Address(Space("other:", "workflow", "w"), "k"),
    ],
    ids=["key", "scope", "owner", "prefix"],
)
def test_moved_record_does_not_open(store, where: Address):
    """C24: a sealed record is bound to its prefix, scope, owner and key."""
    sealed(store).set("k", CANARY)
    plant(store, raw(store), where)
    memory = Workflow(
        where.space.owner,
        MemoryConfig(
            store,
            None,
            where.space.prefix,
            encryption_key="key",
            encrypt_values=True,
            encryption="toy",
        ),
    ).memory
    user = where.space.owner if where.space.scope == "user" else None
    with pytest.raises(DecryptionError):
        memory.get(where.key, scope=where.space.scope, user_id=user)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: data[:1],
        lambda data: data + b"\0",
        lambda data: data[:14] + bytes([data[14] ^ 1]) + data[15:],
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-1] + bytes([data[-1] ^ 0x80]),
        lambda data: b"\x80",
        lambda data: b"\xff" * 100,
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
def test_changed_record_does_not_open(store, change: Any, mixed: bool):
    """C24: a record that was cut, extended, changed or planted does not open."""
    memory = sealed(store, plaintext_reads="allow" if mixed else "refuse")
    memory.set("k", CANARY)
    plant(store, change(raw(store)))
    with pytest.raises(DecryptionError):
        memory.get("k", default="none")


def test_wrong_key_does_not_open(store):
    """C24: a wrong key raises an error, and never returns the default."""
    sealed(store, "key").set("k", 1)
    with pytest.raises(DecryptionError):
        sealed(store, "another").get("k", default="none")


def test_error_names_the_record_that_does_not_open(store):
    """The error of a record that does not open has the cipher's reason and the record's name."""
    sealed(store, "key").set("k", 1)
    memory = sealed(store, "another")
    for ask in (lambda: memory.get("k"), lambda: memory.get_many(["k"]), lambda: memory.rewrap()):
        with pytest.raises(DecryptionError) as caught:
            ask()
        assert str(caught.value) == (
            "'k' in workflow scope of 'w' does not open: "
            "the record does not open with any of the keys"
        )


def test_other_errors_of_a_cipher_pass_through(store):
    """An error of the cipher that is about the machine or the key passes through unchanged."""

    class Away(ToyCipher):
        def open(self, sealed: bytes, aad: bytes) -> bytes:
            raise EncryptionError("the service that has the keys is away")

    sealed(store).set("k", 1)
    with register_plugin("encryption", "bad", plugin(lambda settings: Away(settings.keys))):
        config = MemoryConfig(store, encryption_key="k", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    with pytest.raises(EncryptionError) as caught:
        memory.get("k")
    assert str(caught.value) == "the service that has the keys is away"


def test_first_key_seals_and_all_keys_open(store):
    """The first key seals and all keys open, so keys can change one write at a time."""
    sealed(store, "old").set("k", 1)
    both = sealed(store, ["new", "old"])
    assert both.get("k") == 1
    assert both.update("k", lambda old: old + 1) == 2
    assert sealed(store, "new").get("k") == 2
    with pytest.raises(DecryptionError):
        sealed(store, "old").get("k")


@pytest.mark.parametrize("data", [b"1", b"[1]", b" 18446744073709551616", b'"planted"', b"", b" "])
def test_plain_record_is_refused_by_a_sealed_memory(store, data: bytes):
    """C25: a memory with encryption refuses a plain record; the message says how to convert."""
    plant(store, data)
    with pytest.raises(DecryptionError) as caught:
        sealed(store).get("k", default="none")
    assert str(caught.value) == (
        "the record 'k' in workflow scope of 'w' is not sealed, and this memory reads only sealed "
        "records: it was written without the key. While a store is being converted, "
        'plaintext_reads="allow" reads it'
    )


@pytest.mark.parametrize(
    "operation",
    [
        lambda memory: memory.append("k", 1),
        lambda memory: memory.update("k", lambda old: old),
        lambda memory: memory.get_many(["k"]),
    ],
    ids=["append", "update", "get_many"],
)
def test_planted_plain_record_is_never_updated(store, operation):
    """C25: an update of a plain record raises instead of sealing its content."""
    plant(store, b"[1]")
    with pytest.raises(DecryptionError):
        operation(sealed(store))
    assert raw(store) == b"[1]"


def test_plaintext_reads_allow_reads_both_and_seals(store):
    """C25: ``plaintext_reads="allow"`` reads plain and sealed records, and writes sealed ones."""
    plain(store).set("k", [1])
    memory = sealed(store, plaintext_reads="allow")
    assert memory.get("k") == [1]
    memory.append("k", 2)
    assert raw(store)[0] >= 0x80
    assert sealed(store).get("k") == [1, 2]


def test_plaintext_reads_allow_refuses_corrupt_records(store):
    """C8: ``plaintext_reads="allow"`` does not allow corrupt records."""
    plant(store, b"[1")
    with pytest.raises(CorruptRecordError):
        sealed(store, plaintext_reads="allow").get("k")


def test_sealed_record_is_refused_without_encryption(store):
    """C25: a memory without encryption refuses a sealed record; the message names the settings."""
    sealed(store).set("k", 1)
    with pytest.raises(DecryptionError) as caught:
        plain(store).get("k", default="none")
    assert str(caught.value) == (
        "the record 'k' in workflow scope of 'w' is sealed, and this memory has no encryption: "
        "set encrypt_values=True and the key that it was sealed with"
    )


def test_plaintext_reads_allow_opens_nothing_without_a_key(store):
    """C25: ``plaintext_reads="allow"`` without the key does not open a sealed record."""
    sealed(store).set("k", 1)
    with pytest.raises(DecryptionError, match="is sealed"):
        plain(store, plaintext_reads="allow").get("k")


def test_sealed_record_is_never_returned_without_encryption(store):
    """C25: get() of a sealed record raises in a memory without encryption."""
    sealed(store).set("k", 1)
    with pytest.raises(DecryptionError, match="is sealed"):
        plain(store).get("k")


def test_plaintext_reads_allow_without_encrypt_values_writes_plain(store):
    """C25: a key, encryption off and ``plaintext_reads="allow"`` reads both and writes plain."""
    sealed(store).set("k", [1])
    memory = plain(store, encryption_key="key", plaintext_reads="allow")
    assert memory.get("k") == [1]
    memory.append("k", 2)
    assert raw(store) == b"[1,2]"


def test_operations_without_a_value_need_no_key(store):
    """C25: exists, ttl, touch, list_keys, delete and clear work without the key."""
    sealed(store).set_many({"k": 1, "other": 2})
    memory = plain(store)
    assert memory.exists("k")
    assert memory.list_keys() == ["k", "other"]
    assert memory.ttl("k") == math.inf
    assert memory.touch("k", 50)
    assert memory.delete("k")
    assert memory.delete_many(["other"]) == 1
    assert memory.clear()


def test_set_overwrites_a_sealed_record_without_the_key(store):
    """set() reads nothing, so it overwrites a sealed record without its key."""
    sealed(store).set("k", 1)
    plain(store).set("k", 2)
    assert raw(store) == b"2"


def test_add_finds_a_sealed_record_without_the_key(store):
    """C16: add() finds a live record, even without its key."""
    sealed(store).set("k", 1)
    assert plain(store).add("k", 2) is False


@pytest.mark.parametrize("answer", [b"", b"{}", b" 1", b"\x00", b"\x7f\xff"], ids=repr)
def test_cipher_output_that_looks_plain_is_refused(store, answer: bytes):
    """C25: sealed bytes that look like a plain record are refused; nothing is written."""
    with register_plugin("encryption", "bad", plugin(lambda settings: Answering(answer))):
        config = MemoryConfig(store, encryption_key="k", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    with pytest.raises(EncryptionError, match="must start with a byte of 0x80 or above"):
        memory.set("k", CANARY)
    assert not memory.exists("k")


@pytest.mark.parametrize("opened", [b"", b"no JSON", b"\x80again", b"[1"], ids=repr)
def test_record_that_opens_to_invalid_json_raises(store, opened: bytes):
    """C8: what a cipher opens is read as strictly as a plain record."""
    with register_plugin("encryption", "bad", plugin(lambda settings: Answering(b"\x80x", opened))):
        config = MemoryConfig(store, encryption_key="k", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    memory.set("k", 1)
    with pytest.raises((CorruptRecordError, DecryptionError)):
        memory.get("k")


def test_value_is_checked_before_it_is_sealed(store):
    """C7: a value that is not JSON is refused before it is sealed; the old value stays."""
    memory = sealed(store)
    memory.set("k", 1)
    before = raw(store)
    with pytest.raises(SerializationError):
        memory.set("k", {1: 2})
    with pytest.raises(ValueTooLargeError):
        memory.set("k", "x" * 2**24)
    assert raw(store) == before


def test_failure_to_seal_writes_nothing(store):
    """An EncryptionError of the cipher passes through, and nothing is written."""

    class Failing(ToyCipher):
        def seal(self, plain: bytes, aad: bytes) -> bytes:
            raise EncryptionError("out of nonces")

    with register_plugin("encryption", "bad", plugin(lambda settings: Failing(settings.keys))):
        config = MemoryConfig(store, encryption_key="k", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    with pytest.raises(EncryptionError, match="out of nonces"):
        memory.set("k", 1)
    assert memory.list_keys() == []


def test_views_seal_records(store):
    """C24: a memory and its views have the same serializer."""
    memory = sealed(store)
    memory.for_user("ann").set("k", CANARY)
    data = store.read(address("k", "user", "ann"), deadline=0)
    assert data is not None
    assert CANARY.encode() not in data
    assert memory.get("k", scope="user", user_id="ann") == CANARY


def test_cipher_settings_have_the_keys_and_hide_them():
    """C23: a plugin gets the keys as a tuple in order, and repr() of its settings hides them."""
    seen: list[CipherSettings] = []

    def make(settings: CipherSettings) -> Cipher:
        seen.append(settings)
        return ToyCipher(settings.keys)

    with register_plugin("encryption", "looking", plugin(make)):
        for keys in (CANARY, [CANARY, "old"]):
            Workflow(
                "w", MemoryConfig(encryption_key=keys, encrypt_values=True, encryption="looking")
            )
    assert [settings.keys for settings in seen] == [(CANARY,), (CANARY, "old")]
    assert CANARY not in repr(seen)
    assert {settings.name for settings in seen} == {"looking"}


def test_no_error_of_a_sealed_record_shows_a_value_or_key(store):
    """C23: no error about a sealed record shows a value or a key."""
    memory = sealed(store, f"{CANARY}-key")
    memory.set("k", CANARY)
    plant(store, raw(store)[:-1])
    with pytest.raises(DecryptionError) as caught:
        memory.get("k")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert CANARY not in repr(memory)


class Leaking(ToyCipher):
    """A cipher that raises its own errors, with secrets."""

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        raise ValueError(CANARY, plain)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        raise ValueError(CANARY, sealed)

    def is_current(self, sealed: bytes) -> bool:
        raise ValueError(CANARY, sealed)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            lambda memory: memory.set("k", 2),
            "the encryption plugin failed to seal 'k' in workflow scope of 'w': ValueError",
        ),
        (
            lambda memory: memory.get("k"),
            "the encryption plugin failed to open 'k' in workflow scope of 'w': ValueError",
        ),
        (
            lambda memory: memory.rewrap(),
            "the encryption plugin failed to inspect 'k' in workflow scope of 'w': ValueError",
        ),
    ],
    ids=["seal", "open", "is_current"],
)
def test_unexpected_error_of_a_cipher_shows_its_type_only(store, operation, message):
    """C23: an unexpected error of a cipher is shown by its type only; nothing is written."""
    sealed(store).set("k", 1)
    before = raw(store)
    with register_plugin("encryption", "bad", plugin(lambda settings: Leaking(settings.keys))):
        config = MemoryConfig(store, encryption_key="k", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    with pytest.raises(EncryptionError) as caught:
        operation(memory)
    assert str(caught.value) == message
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert raw(store) == before


def test_error_of_is_current_passes_through(store):
    """A FibonacciError of is_current() passes through unchanged."""

    class Refusing(ToyCipher):
        def is_current(self, sealed: bytes) -> bool:
            raise EncryptionError("the keys were taken away")

    sealed(store).set("k", 1)
    with register_plugin("encryption", "bad", plugin(lambda settings: Refusing(settings.keys))):
        config = MemoryConfig(store, encryption_key="key", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    with pytest.raises(EncryptionError, match="the keys were taken away"):
        memory.rewrap()


@pytest.mark.parametrize("answer", ["text", None, 1], ids=repr)
def test_cipher_that_returns_no_bytes_is_refused(store, answer):
    """C25: a cipher that returns something else than bytes raises; nothing is written or read."""
    sealed(store).set("k", 1)
    before = raw(store)
    with register_plugin("encryption", "bad", plugin(lambda settings: Answering(answer, answer))):
        config = MemoryConfig(store, encryption_key="k", encrypt_values=True, encryption="bad")
        memory = Workflow("w", config).memory
    with pytest.raises(EncryptionError, match="the encryption plugin failed to seal"):
        memory.set("k", 2)
    with pytest.raises(DecryptionError, match="the encryption plugin failed to open"):
        memory.get("k")
    assert raw(store) == before
