"""Records that an attacker without a key moves or plants in the store don't open (C24, C25)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from inside import INSIDES, Inside

from fibonacci import DecryptionError, MemoryConfig, Workflow, generate_key
from fibonacci.plugin import Address, Scope, Space

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ON = ("sqlite", "redis", "postgres", "dynamodb")

KEY = generate_key()


class Record(NamedTuple):
    """A record, by scope, user and key."""

    prefix: str
    workflow: str
    scope: Scope
    owner: str
    key: str

    @property
    def address(self) -> Address:
        return Address(Space(self.prefix, self.scope, self.owner), self.key)

    @property
    def named(self) -> dict[str, Any]:
        user = {"user_id": self.owner} if self.scope == "user" else {}
        return {"scope": self.scope, **user}


NAMES: list[tuple[str, str, Scope, str, str]] = [
    ("a:", "w", "workflow", "w", "k"),
    ("a:", "w", "workflow", "w", "K"),
    ("a:", "w", "workflow", "w", "k2"),
    ("a:", "w", "workflow", "w", "w"),
    ("a:", "W", "workflow", "W", "k"),
    ("a:", "w2", "workflow", "w2", "k"),
    ("a:", "u", "workflow", "u", "k"),
    ("a:", "w", "user", "w", "k"),
    ("a:", "w", "user", "u", "k"),
    ("a:", "w", "user", "u", "k:k"),
    ("a:", "w", "user", "u:k", "k"),
    ("a:", "w", "user", "user-1", "23preferences"),
    ("a:", "w", "user", "user-12", "3preferences"),
    ("a:", "w", "organization", "default", "k"),
    ("a:", "w", "global", "", "k"),
    ("a:", "w", "global", "", "w"),
    ("b:", "w", "workflow", "w", "k"),
    ("b:", "w", "user", "u", "k"),
    ("a:b:", "w", "global", "", "k"),
    ("", "w", "workflow", "w", "k"),
]

RECORDS = [Record(*names) for names in NAMES]


class Store:
    """The records, each with the memory that reads it, and the raw server."""

    def __init__(self, config: MemoryConfig, inside: Inside) -> None:
        self.inside = inside
        self.memories = {
            record: Workflow(record.workflow, self.settings(config, record.prefix)).memory
            for record in RECORDS
        }

    def settings(self, config: MemoryConfig, prefix: str) -> MemoryConfig:
        return MemoryConfig(
            config.backend,
            config.connection_url,
            prefix,
            encryption_key=KEY,
            encrypt_values=True,
            timeout=config.timeout,
        )

    def get(self, record: Record) -> Any:
        return self.memories[record].get(record.key, **record.named, default="a miss")

    def write_all(self) -> None:
        for record in RECORDS:
            self.memories[record].set(record.key, list(record), **record.named)


@pytest.fixture
def stored(backend_and_url: tuple[str, str], config: MemoryConfig) -> Iterator[Store]:
    """Twenty sealed records, each of which holds its own name."""
    name, url = backend_and_url
    with Workflow("w", config) as first:
        first.memory.exists("k")  # makes the table
        inside = INSIDES[name](url)
        stored = Store(config, inside)
        stored.write_all()
        yield stored
        inside.close()
        for memory in stored.memories.values():
            memory.close()


def test_moved_records_do_not_open(stored: Store) -> None:
    """All 380 moves of one of twenty records over another are refused (C24)."""
    sealed = {record: stored.inside.read(record.address) for record in RECORDS}
    assert len(set(sealed.values())) == len(RECORDS) == 20
    refused = 0
    for moved in RECORDS:
        others = [record for record in RECORDS if record != moved]
        stored.inside.replace({record.address: sealed[moved] for record in others})
        for record in others:
            with pytest.raises(DecryptionError):
                stored.get(record)
            refused += 1
        assert stored.get(moved) == list(moved)
        stored.inside.replace({record.address: sealed[record] for record in others})
    assert refused == 380
    assert [stored.get(record) for record in RECORDS] == [list(record) for record in RECORDS]


def test_planted_records_are_refused(stored: Store) -> None:
    """Plain values and bytes that look sealed are refused by every verb (C25)."""
    first = RECORDS[0]
    memory = stored.memories[first]
    for planted in (b"1", b'["planted"]', b" 18446744073709551616", b"\xf1FM\x01planted"):
        stored.inside.replace({first.address: planted})
        for ask in (
            lambda: memory.get("k", default="a miss"),
            lambda: memory.get_many(["k"]),
            lambda: memory.append("k", 1),
            lambda: memory.increment("k"),
            lambda: memory.update("k", lambda found: found),
            lambda: memory.rewrap(),
        ):
            with pytest.raises(DecryptionError):
                ask()
        assert stored.inside.read(first.address) == planted
        assert memory.exists("k")
        assert memory.list_keys() == ["K", "k", "k2", "w"]
    assert memory.delete("k")


def test_flipped_bits_are_refused(stored: Store) -> None:
    """A record with a flipped bit is refused: the first, the last, one of each region (C24)."""
    first = RECORDS[0]
    sealed = stored.inside.read(first.address)
    for at in (0, 3, 8, 20, 50, 80, len(sealed) - 20, len(sealed) - 1):
        changed = sealed[:at] + bytes([sealed[at] ^ 0x01]) + sealed[at + 1 :]
        stored.inside.replace({first.address: changed})
        with pytest.raises(DecryptionError):
            stored.get(first)
    for cut in (sealed[:-1], sealed[1:], sealed + b"\0", sealed[:30]):
        stored.inside.replace({first.address: cut})
        with pytest.raises(DecryptionError):
            stored.get(first)
