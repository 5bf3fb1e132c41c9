"""Methods with a default: an override must do what the default does."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from fibonacci.plugin import ABSENT, Address, Space
from fibonacci.testing.store.fixtures import ContractFixtures, StoreUnderTest

Operation = Callable[["RecordSet"], object]


@attrs.frozen
class RecordSet:
    """One of two equal sets of records: one for the store's methods, one for the defaults."""

    raw_store: StoreUnderTest
    prefix: str
    call: Callable[..., Any]

    @property
    def spaces(self) -> list[Space]:
        """Three spaces, the last of them with nothing in it."""
        return [
            self.raw_store.space(prefix=self.prefix),
            self.raw_store.space("user", "u:1", prefix=self.prefix),
            self.raw_store.space("global", prefix=self.prefix),
        ]

    @property
    def addresses(self) -> list[Address]:
        """Unexpired, expiring, expired and absent records, unsorted."""
        keys = ["late2", "b", "absent", "a", "late1", "%", "soon", "😀"]
        return [Address(space, key) for key in keys for space in self.spaces]

    def fill(self, short_ttl_ms: int) -> None:
        """Write the records."""
        for address in self.addresses:
            ttl_ms = {"l": short_ttl_ms, "s": 60_000}.get(address.key[0])
            if address.key != "absent" and address.space.scope != "global":
                self.raw_store.write(address, address.key.encode(), ttl_ms)

    def state(self) -> list[Any]:
        """What is in the store: bytes, what expires, and listings."""
        records = [
            (address.key, self.raw_store.read(address), self._expiry_kind(address))
            for address in self.addresses
        ]
        return [records, [self.raw_store.keys(space) for space in self.spaces]]

    def _expiry_kind(self, address: Address) -> object:
        remaining = self.raw_store.remaining_ttl_ms(address)
        return remaining if remaining is None or remaining is ABSENT else "expires"


class DefaultMethodTests(ContractFixtures):
    """C12, C14 and C17: the six methods that have a default."""

    def compare(self, raw_store: StoreUnderTest, operation: Operation) -> None:
        """Do the same with the store's method and with the default, on equal records."""
        own = RecordSet(raw_store, "a", raw_store.call)
        default = RecordSet(raw_store, "b", raw_store.call_default)
        own.fill(self.short_ttl_ms)
        default.fill(self.short_ttl_ms)
        self.wait_for_expiry()
        assert operation(own) == operation(default)
        assert own.state() == default.state()

    def test_default_read_many(self, raw_store: StoreUnderTest) -> None:
        """The method read_many returns what reading one by one returns (C14)."""
        self.compare(raw_store, lambda records: records.call("read_many", records.addresses * 2))

    @pytest.mark.parametrize("ttl_ms", [None, 90_000])
    def test_default_write_many(self, raw_store: StoreUnderTest, ttl_ms: int | None) -> None:
        """The method write_many leaves what writing one by one leaves, expiry included (C17)."""

        def write(records: RecordSet) -> object:
            items = [(address, b"new " + address.key.encode()) for address in records.addresses]
            return records.call("write_many", items, ttl_ms)

        self.compare(raw_store, write)

    def test_default_remove_many(self, raw_store: StoreUnderTest) -> None:
        """The method remove_many counts and removes as removing one by one does (C12, C14)."""
        self.compare(raw_store, lambda records: records.call("remove_many", records.addresses[::2]))

    def test_default_exists(self, raw_store: StoreUnderTest) -> None:
        """The method exists says what remaining_ttl_ms says (C12, C14)."""

        def exists(records: RecordSet) -> object:
            return [records.call("exists", address) for address in records.addresses]

        self.compare(raw_store, exists)

    @pytest.mark.parametrize("ttl_ms", [None, 90_000])
    def test_default_touch(self, raw_store: StoreUnderTest, ttl_ms: int | None) -> None:
        """The method touch does what reading and a compare-and-set do (C12, C13)."""

        def touch(records: RecordSet) -> object:
            return [records.call("touch", address, ttl_ms) for address in records.addresses[::2]]

        self.compare(raw_store, touch)

    @pytest.mark.parametrize("index", range(3))
    def test_default_clear(self, raw_store: StoreUnderTest, index: int) -> None:
        """The method clear leaves what removing each listed record leaves (C6, C12)."""

        def clear(records: RecordSet) -> None:
            space = records.spaces[index]
            cursor = records.call("clear", space)
            while cursor is not None:
                cursor = records.call("clear", space, cursor=cursor)

        self.compare(raw_store, clear)
