"""Memory that can't be decrypted fails the node before a model is called (C25, C29)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ciphers import ToyCipher, plugin

from fibonacci import (
    DecryptionError,
    EncryptionError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    MemoryWrite,
    NodeExecutionError,
    PluginNotFoundError,
    Workflow,
    register_plugin,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Space

HISTORY = Address(Space("fibonacci:", "workflow", "w"), "history")

requests: list[Any] = []


def model(request: Any) -> str:
    requests.append(request)
    return "an answer"


class Sealless(ToyCipher):
    """A cipher that opens, but fails to seal."""

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        raise EncryptionError("the key may no longer seal")


@pytest.fixture(autouse=True)
def ciphers() -> Iterator[None]:
    requests.clear()
    with (
        register_plugin("encryption", "toy", plugin(lambda settings: ToyCipher(settings.keys))),
        register_plugin("encryption", "shut", plugin(lambda settings: Sealless(settings.keys))),
    ):
        yield


@pytest.fixture
def store() -> LocalStore:
    """A store with one sealed record."""
    store = LocalStore()
    memory_of(store, "key").set("history", ["said before"])
    return store


def workflow_of(store: LocalStore, key: str, cipher: str = "toy") -> Workflow:
    config = MemoryConfig(store, encryption_key=key, encrypt_values=True, encryption=cipher)
    return Workflow("w", config)


def memory_of(store: LocalStore, key: str) -> Any:
    return workflow_of(store, key).memory


def change(alter: Callable[[bytes], bytes]) -> Callable[[LocalStore], None]:
    def spoil(store: LocalStore) -> None:
        data = store.read(HISTORY, deadline=0)
        assert data is not None
        store.write(HISTORY, alter(data), None, deadline=0)

    return spoil


def move(store: LocalStore) -> None:
    """Put another user's record in the place."""
    memory_of(store, "key").set("history", ["bob's"], scope="user", user_id="bob")
    bobs = store.read(Address(Space("fibonacci:", "user", "bob"), "history"), deadline=0)
    assert bobs is not None
    store.write(HISTORY, bobs, None, deadline=0)


SPOILT = {
    "planted": change(lambda data: b'["planted"]'),
    "flipped": change(lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "cut": change(lambda data: data[:-1]),
    "moved": move,
}


@pytest.mark.parametrize("default", [{}, {"default": "none"}], ids=["bare", "with a default"])
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_undecryptable_record_fails_the_node(
    execute: Any, store: LocalStore, spoil: Callable[[LocalStore], None], default: dict[str, Any]
) -> None:
    """A record that can't be decrypted fails its node before a model is called (C29)."""
    spoil(store)
    workflow = workflow_of(store, "key")
    wanted: Any = {"key": "history", **default}
    workflow.add_node(LLMNode("chat", model, "{{memory.history}}", memory_read=[wanted]))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, DecryptionError)
    assert requests == []


def test_wrong_key_fails_the_node(execute: Any, store: LocalStore) -> None:
    """With a wrong key neither the node nor its dependents call a model (C29)."""
    workflow = workflow_of(store, "another key")
    workflow.add_node(FunctionNode("first", lambda ctx: 1, memory_read=["history"]))
    workflow.add_node(LLMNode("then", model, "{{first}}"))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert caught.value.node_id == "first"
    assert isinstance(caught.value.cause, DecryptionError)
    assert requests == []


def test_missing_key_fails_the_node(execute: Any, store: LocalStore) -> None:
    """Without encryption an encrypted record is an error, and is not read as text (C25, C29)."""
    workflow = Workflow("w", MemoryConfig(store))
    workflow.add_node(LLMNode("chat", model, "{{memory.history}}", memory_read=["history"]))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, DecryptionError)
    assert requests == []


def test_append_to_an_undecryptable_record(execute: Any, store: LocalStore) -> None:
    """Appending to a record that can't be decrypted fails the node; the record stays (C25, C28)."""
    SPOILT["planted"](store)
    workflow = workflow_of(store, "key")
    write: MemoryWrite = {"key": "history", "mode": "append"}
    workflow.add_node(LLMNode("chat", model, "hello", memory_write=write))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, DecryptionError)
    assert store.read(HISTORY, deadline=0) == b'["planted"]'


def test_output_that_can_not_be_encrypted(execute: Any, store: LocalStore) -> None:
    """An output that can't be encrypted fails the node; nothing is stored (C25, C28)."""
    before = store.read(HISTORY, deadline=0)
    workflow = workflow_of(store, "key", cipher="shut")
    workflow.add_node(LLMNode("chat", model, "hello", memory_write="history"))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, EncryptionError)
    assert store.read(HISTORY, deadline=0) == before


def test_missing_cipher_plugin() -> None:
    """Workflow() refuses a cipher that is not installed, before anything is written (C25)."""
    with pytest.raises(PluginNotFoundError, match="no-such"):
        Workflow("w", MemoryConfig(encryption_key="k", encrypt_values=True, encryption="no-such"))
