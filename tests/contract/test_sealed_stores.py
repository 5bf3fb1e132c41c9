"""The contract of stores with sealed values, on every backend.

All tests that go through a memory run as they are. Those that look at the very bytes in the store
are about the store, which handles bytes either way; they run elsewhere, without encryption.
Each backend runs in one mode; with ``--long`` in the other, too.
"""

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from modes import mostly, without_network_faults
from services.databases import Databases
from services.dynamodb import DynamoDB
from services.standalone import Redis

from fibonacci import DecryptionError, MemoryManager, generate_key
from fibonacci.testing import StoreContract
from fibonacci.testing.store.fixtures import MemoryFactory

KEYS = [generate_key(), generate_key()]


@without_network_faults
class Sealed(StoreContract):
    """All values sealed, with the first of two keys."""

    modes: ClassVar[Sequence[Any]] = ("sync", "async")
    bulk_size = 1_100
    max_examples = 8

    @pytest.fixture(autouse=True)
    def sealed(self, memory_factory: MemoryFactory) -> None:
        """Encrypt all workflows of the test; requested before any memory is created."""
        memory_factory.config.update(encrypt_values=True, encryption_key=KEYS)

    def test_it_is_sealed(self, memory: MemoryManager, memory_factory: MemoryFactory) -> None:
        """The memories of this suite seal their values (C24)."""
        memory.set("k", 1)
        with pytest.raises(DecryptionError):
            memory_factory.new_memory(encrypt_values=False, encryption_key=None).get("k")
        assert memory_factory.new_memory(encryption_key=KEYS[::-1]).get("k") == 1
        with pytest.raises(DecryptionError):
            memory_factory.new_memory(encryption_key=KEYS[1]).get("k")


for _name in dir(StoreContract):
    if (
        _name.startswith("test_")
        and "raw_store" in inspect.signature(getattr(StoreContract, _name)).parameters
    ):
        setattr(Sealed, _name, None)


class TestSealedMemory(Sealed):
    backend = "memory"
    modes = mostly("async", "sync")


class TestSealedSqlite(Sealed):
    backend = "sqlite"
    modes = mostly("sync", "async")

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('db') / 'sealed.db'}"


class TestSealedRedis(Sealed):
    backend = "redis"
    modes = mostly("async", "sync")

    @pytest.fixture
    def url(self, valkey_server: Redis) -> str:
        return valkey_server.url


class TestSealedPostgres(Sealed):
    backend = "postgres"
    modes = mostly("sync", "async")

    @pytest.fixture
    def url(self, postgres_server: Databases) -> str:
        return postgres_server.url


@pytest.mark.long
class TestSealedDynamoDB(Sealed):
    backend = "dynamodb"

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, dynamodb_server: DynamoDB) -> str:
        return dynamodb_server.fresh
