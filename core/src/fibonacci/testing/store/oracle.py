"""The defaults are the oracle: what a store overrides must do what they do."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from fibonacci.plugin import ABSENT, Address, Space
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.spoken import Raw

Act = Callable[["Twin"], object]


@attrs.frozen
class Twin:
    """One of two equal sets of records: the one asks the store, the other the defaults."""

    raw: Raw
    prefix: str
    ask: Callable[..., Any]

    @property
    def spaces(self) -> list[Space]:
        """Three spaces, the last of them with nothing in it."""
        return [
            self.raw.space(prefix=self.prefix),
            self.raw.space("user", "u:1", prefix=self.prefix),
            self.raw.space("global", prefix=self.prefix),
        ]

    @property
    def addresses(self) -> list[Address]:
        """Live, expiring, expired and absent records, in no order."""
        keys = ["late2", "b", "absent", "a", "late1", "%", "soon", "😀"]
        return [Address(space, key) for key in keys for space in self.spaces]

    def fill(self, short_ms: int) -> None:
        """Write the records."""
        for address in self.addresses:
            ttl_ms = {"l": short_ms, "s": 60_000}.get(address.key[0])
            if address.key != "absent" and address.space.scope != "global":
                self.raw.write(address, address.key.encode(), ttl_ms)

    def state(self) -> list[Any]:
        """What is in the store: bytes, what expires, and listings."""
        records = [
            (one.key, self.raw.read(one), _kind(self.raw.remaining_ttl_ms(one)))
            for one in self.addresses
        ]
        return [records, [self.raw.keys(space) for space in self.spaces]]


class Oracle(Bench):
    """C12, C14 and C17: the six methods that have a default."""

    def compare(self, raw: Raw, act: Act) -> None:
        """Do the same with the store's method and with the default, on equal records."""
        own, default = Twin(raw, "a", raw.ask), Twin(raw, "b", raw.ask_default)
        own.fill(self.short_ms)
        default.fill(self.short_ms)
        self.outlive()
        assert act(own) == act(default)
        assert own.state() == default.state()

    def test_default_read_many(self, raw: Raw) -> None:
        """read_many answers as reading one by one does (C14)."""
        self.compare(raw, lambda twin: twin.ask("read_many", twin.addresses * 2))

    def test_default_write_many(self, raw: Raw) -> None:
        """write_many leaves what writing one by one leaves, with an expiry and without (C17)."""
        for ttl_ms in (None, 90_000):
            self.compare(raw, lambda twin: twin.ask("write_many", _new(twin.addresses), ttl_ms))  # noqa: B023

    def test_default_remove_many(self, raw: Raw) -> None:
        """remove_many counts and removes as removing one by one does (C12, C14)."""
        self.compare(raw, lambda twin: twin.ask("remove_many", twin.addresses[::2]))

    def test_default_exists(self, raw: Raw) -> None:
        """Exists says what remaining says (C12, C14)."""
        self.compare(raw, lambda twin: [twin.ask("exists", one) for one in twin.addresses])

    def test_default_touch(self, raw: Raw) -> None:
        """Touch does what reading and a compare-and-set do (C12, C13)."""
        for ttl_ms in (None, 90_000):
            self.compare(
                raw,
                lambda twin: [twin.ask("touch", one, ttl_ms) for one in twin.addresses[::2]],  # noqa: B023
            )

    def test_default_clear(self, raw: Raw) -> None:
        """Clear leaves what removing each listed record leaves (C6, C12)."""
        for index in range(3):
            self.compare(raw, lambda twin: _clear(twin, twin.spaces[index]))  # noqa: B023


def _kind(remaining: object) -> object:
    return remaining if remaining is None or remaining is ABSENT else "expires"


def _new(addresses: Sequence[Address]) -> list[tuple[Address, bytes]]:
    return [(one, b"new " + one.key.encode()) for one in addresses]


def _clear(twin: Twin, space: Space) -> None:
    cursor = twin.ask("clear", space)
    while cursor is not None:
        cursor = twin.ask("clear", space, cursor=cursor)
