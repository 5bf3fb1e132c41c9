"""plaintext_reads="allow": plain records are counted, and logged once, without key or owner."""

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


def test_every_plain_read_is_counted(store: LocalStore) -> None:
    """Plain reads by all operations, views and modes of a memory are counted for it only (C25)."""
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


def test_reads_of_a_node_are_counted(store: LocalStore) -> None:
    """plaintext_read_count includes the reads of nodes (C25)."""
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


def test_threads_lose_no_count(store: LocalStore) -> None:
    """Eight threads that read a plain record 200 times each are counted 1,600 times."""
    memory = memory_of(store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: [memory.get(CANARY) for _ in range(200)], range(8)))
    assert memory.plaintext_read_count == 1_600


def test_plain_read_is_logged_once_without_key_user_or_value(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A memory logs one warning, however many records and threads (C23)."""
    caplog.set_level(logging.DEBUG)
    memory = memory_of(store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: memory.get(CANARY), range(8)))
    memory.for_user(CANARY).get(CANARY)
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("fibonacci.memory", "WARNING")
    ]
    assert caplog.records[0].getMessage() == (
        'a plain record was read where all should be sealed, as plaintext_reads is "allow"; '
        "further ones are counted, not logged: see memory.plaintext_read_count. "
        "memory.rewrap() seals them"
    )


def test_refused_plain_read_is_not_counted(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """plaintext_reads="refuse" raises, and counts nothing."""
    memory = memory_of(store, "refuse")
    with pytest.raises(DecryptionError):
        memory.get(CANARY)
    assert memory.plaintext_read_count == 0
    assert caplog.records == []


def test_plain_records_of_a_plain_memory_are_not_counted(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain records are not counted in a memory that writes plain records."""
    plain = Workflow(CANARY, MemoryConfig(store)).memory
    back = MemoryConfig(store, encryption_key="key", encryption="toy", plaintext_reads="allow")
    for memory in (plain, Workflow(CANARY, back).memory):
        assert memory.get(CANARY) == CANARY
        assert memory.plaintext_read_count == 0
    assert caplog.records == []
