"""Listings: complete, sorted by code point, each key once; and patterns over them."""

import pytest

from fibonacci import MemoryManager
from fibonacci.testing.modes import WORKERS
from fibonacci.testing.store.addresses import HOSTILE
from fibonacci.testing.store.fixtures import (
    ContractFixtures,
    StoreUnderTest,
    call,
    call_concurrently,
)


class ListingTests(ContractFixtures):
    """C14 and C15."""

    def test_many_keys(self, memory: MemoryManager) -> None:
        """A listing is complete and sorted, for any number of keys (C14)."""
        keys = sorted(f"k{number}" for number in range(self.bulk_size))
        memory.set_many(dict.fromkeys(keys, 0))
        assert memory.list_keys() == keys
        assert list(memory.iter_keys()) == keys
        some = [key for key in keys if key.startswith("k2")]
        assert memory.list_keys(pattern="k2*") == some
        assert memory.list_keys(pattern="*9") == [key for key in keys if key.endswith("9")]

    def test_code_point_order(self, memory: MemoryManager) -> None:
        """Keys are sorted by code point, not by UTF-16 or locale (C14)."""
        keys = [
            "A",
            "Z",
            "a",
            "b",
            "é",
            "\ud7ff",
            "\ue000",
            "\ufffd",
            "\uffff",
            "𐀀",
            "😀",
            "\U0010ffff",
        ]
        for key in reversed(keys):
            memory.set(key, 0)
        assert memory.list_keys() == keys

    def test_digits_are_sorted_as_text(self, memory: MemoryManager) -> None:
        """Keys that are digits are sorted as text (C14)."""
        memory.set_many(dict.fromkeys(["10", "9", "1", "01", "-1"], 0))
        assert memory.list_keys() == ["-1", "01", "1", "10", "9"]

    def test_each_write_is_listed(self, memory: MemoryManager) -> None:
        """A record is listed once after any method wrote it (C14)."""
        memory.set("set", 1)
        memory.set("set", 2)
        memory.add("add", 1)
        memory.append("append", 1)
        memory.append("append", 1)
        memory.increment("increment")
        memory.update("update", lambda value: value)
        memory.set_many({"many": 1, "set": 3})
        assert memory.list_keys() == ["add", "append", "increment", "many", "set", "update"]

    def test_each_removal_is_unlisted(self, memory: MemoryManager) -> None:
        """A deleted record is not listed; one that was written again is (C14)."""
        memory.set_many({"a": 1, "b": 1, "c": 1, "d": 1})
        memory.delete("a")
        memory.delete_many(["b", "c"])
        assert memory.list_keys() == ["d"]
        memory.set("b", 2)
        assert memory.list_keys() == ["b", "d"]

    def test_results(self, memory: MemoryManager) -> None:
        """The method set returns True; delete and exists return what was there (C14)."""
        assert memory.delete("k") is False
        assert memory.exists("k") is False
        assert memory.get("k") is None
        assert memory.set("k", 1) is True
        assert memory.exists("k") is True
        assert memory.delete("k") is True
        assert memory.delete("k") is False
        assert memory.get("k", default=[]) == []
        assert memory.list_keys() == []

    def test_listing_during_writes(self, memory: MemoryManager) -> None:
        """A record that stays is in every listing during other changes (C14)."""
        memory.set_many({f"stays{number}": 0 for number in range(10)})
        changes = (
            call(method, f"{'a' if number % 3 else 'z'}{number % 7}", *value)
            for number in range(60)
            for method, value in (("set", (1,)), ("delete", ()))
        )
        # Each worker makes changes and listings in turn; half of them begin with a listing.
        calls = [
            call("list_keys") if (number + number // WORKERS) % 2 else next(changes)
            for number in range(240)
        ]
        results = zip(calls, call_concurrently(memory, calls), strict=True)
        for listed in [result for made, result in results if made.method == "list_keys"]:
            assert [key for key in listed if key.startswith("stays")] == [
                f"stays{number}" for number in range(10)
            ]
            assert listed == sorted(set(listed))


class PageTests(ContractFixtures):
    """C14 on the store: pages that add up to the listing."""

    @pytest.mark.parametrize("limit", [1, 3, 10, 100])
    def test_pages(self, raw_store: StoreUnderTest, limit: int) -> None:
        """Pages hold at most the limit of keys, and together all of them in order (C14)."""
        keys = sorted([*HOSTILE[:20], "�", "😀", "\U0010ffff"])
        raw_store.write_many([(raw_store.address(key), b"0") for key in keys])
        pages = list(raw_store.pages(raw_store.space(), limit=limit))
        assert all(len(page.keys) <= limit for page in pages)
        assert [key for page in pages for key in page.keys] == keys

    def test_prefixes(self, raw_store: StoreUnderTest) -> None:
        """A scan takes its prefix literally, whatever characters are in it (C15)."""
        raw_store.write_many([(raw_store.address(key), b"0") for key in HOSTILE])
        for prefix in [*HOSTILE, "x", "k" * 500]:
            starting = sorted(key for key in HOSTILE if key.startswith(prefix))
            assert raw_store.keys(raw_store.space(), prefix, limit=4) == starting, prefix

    def test_pages_while_removing(self, raw_store: StoreUnderTest) -> None:
        """Keys that stay are listed although listed ones are removed between pages (C14)."""
        keys = [f"{number:03}" for number in range(60)]
        raw_store.write_many([(raw_store.address(key), b"0") for key in keys])
        listed: list[str] = []
        for page in raw_store.pages(raw_store.space(), limit=7):
            listed += page.keys
            for key in page.keys:
                raw_store.remove(raw_store.address(key))
        assert listed == keys

    def test_pages_while_adding(self, raw_store: StoreUnderTest) -> None:
        """Keys that stay are listed once although others are added between pages (C14)."""
        keys = [f"{number:03}" for number in range(60)]
        raw_store.write_many([(raw_store.address(key), b"0") for key in keys])
        listed: list[str] = []
        for number, page in enumerate(raw_store.pages(raw_store.space(), limit=7)):
            listed += page.keys
            raw_store.write(raw_store.address(f"000-{number}"), b"0")
        assert [key for key in listed if "-" not in key] == keys
        assert listed == sorted(set(listed))

    def test_pages_over_expired(self, raw_store: StoreUnderTest) -> None:
        """Expired records between others end no listing (C12, C14)."""
        for number in range(40):
            ttl_ms = self.short_ttl_ms if number % 10 else None
            raw_store.write(raw_store.address(f"{number:03}"), b"0", ttl_ms)
        self.wait_for_expiry()
        assert raw_store.keys(raw_store.space(), limit=3) == ["000", "010", "020", "030"]

    def test_empty_space(self, raw_store: StoreUnderTest) -> None:
        """A space without records has an empty listing, with an end (C14)."""
        assert raw_store.keys(raw_store.space()) == []
        assert raw_store.keys(raw_store.space(), "a") == []
