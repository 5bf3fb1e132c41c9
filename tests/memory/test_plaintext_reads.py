"""plaintext_reads="allow": counted, and told once, without a word of whose record it was."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
from ciphers import ToyCipher, plugin

from fibonacci import (
    DecryptionError,
    FunctionNode,
    MemoryConfig,
    MemoryManager,
    Workflow,
    register_plugin,
)
from fibonacci._builtin.local import LocalStore

CANARY = "canary-3f9a"


@pytest.fixture(autouse=True)
def toy_cipher() -> Iterator[None]:
    with register_plugin("encryption", "toy", plugin(lambda settings: ToyCipher(settings.keys))):
        yield


@pytest.fixture
def store() -> LocalStore:
    """A store with one plain record for a workflow, and one for a user."""
    store = LocalStore()
    memory = Workflow(CANARY, MemoryConfig(store)).memory
    memory.set(CANARY, CANARY)
    memory.set(CANARY, CANARY, scope="user", user_id=CANARY)
    return store


def memory_of(
    store: LocalStore, plaintext_reads: Literal["refuse", "allow"] = "allow"
) -> MemoryManager:
    config = MemoryConfig(
        store,
        encryption_key=CANARY,
        encrypt_values=True,
        encryption="toy",
        plaintext_reads=plaintext_reads,
    )
    return Workflow(CANARY, config).memory


def test_every_plain_record_that_is_read_is_counted(store: LocalStore) -> None:
    """By all verbs, views and modes of a memory; not by another memory (C25)."""
    memory = memory_of(store)
    assert memory.plaintext_read_count == 0
    memory.get(CANARY)
    memory.get_many([CANARY])
    memory.for_user(CANARY).get(CANARY)
    asyncio.run(memory.aget(CANARY))
    assert memory.plaintext_read_count == 4
    memory.update(CANARY, str.upper)
    memory.get(CANARY)  # sealed by now
    assert memory.plaintext_read_count == 5
    assert memory_of(store).plaintext_read_count == 0


def test_what_a_node_recalls_is_counted(store: LocalStore) -> None:
    """A run counts for the memory of its workflow (C25)."""
    config = MemoryConfig(
        store,
        encryption_key="key",
        encrypt_values=True,
        encryption="toy",
        plaintext_reads="allow",
    )
    workflow = Workflow(CANARY, config)
    workflow.add_node(
        FunctionNode("n", lambda ctx: ctx.memory_values[CANARY], memory_read=[CANARY])
    )
    assert workflow.execute()["n"] == CANARY
    assert workflow.memory.plaintext_read_count == 1


def test_no_count_is_lost_among_threads(store: LocalStore) -> None:
    """Eight threads read a plain record two hundred times each."""
    memory = memory_of(store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: [memory.get(CANARY) for _ in range(200)], range(8)))
    assert memory.plaintext_read_count == 1_600


def test_it_is_logged_once_without_key_user_or_value(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning a memory, however many records and threads (C23)."""
    caplog.set_level(logging.DEBUG)
    memory = memory_of(store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: memory.get(CANARY), range(8)))
    memory.for_user(CANARY).get(CANARY)
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("fibonacci", "WARNING")
    ]
    assert caplog.records[0].getMessage() == (
        'a plain record was read where all should be sealed, as plaintext_reads is "allow"; '
        "further ones are counted, not logged: see memory.plaintext_read_count. "
        "memory.rewrap() seals them"
    )


def test_what_is_refused_is_not_counted(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The strict policy raises, and that is how one hears of it."""
    memory = memory_of(store, "refuse")
    with pytest.raises(DecryptionError):
        memory.get(CANARY)
    assert memory.plaintext_read_count == 0
    assert caplog.records == []


def test_plain_records_of_a_plain_memory_are_not_counted(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither without encryption, nor on the way back to none: plain is what they should be."""
    plain = Workflow(CANARY, MemoryConfig(store)).memory
    back = MemoryConfig(store, encryption_key="key", encryption="toy", plaintext_reads="allow")
    for memory in (plain, Workflow(CANARY, back).memory):
        assert memory.get(CANARY) == CANARY
        assert memory.plaintext_read_count == 0
    assert caplog.records == []
