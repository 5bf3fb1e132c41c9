"""Compare-and-set, the one primitive under all atomic verbs."""

import pytest

from fibonacci.plugin import ABSENT, KEEP_TTL, Absent
from fibonacci.testing.store.bench import Bench
from fibonacci.testing.store.spoken import Raw

WRONG = [ABSENT, b"", b"ol", b"old ", b"OLD", b"other"]


class Swap(Bench):
    """C16: the primitive."""

    def test_swap_matching(self, raw: Raw) -> None:
        """A compare-and-set writes where the bytes are as expected (C16)."""
        raw.write(raw.address("k"), b"old")
        assert raw.compare_and_set(raw.address("k"), b"old", b"new") is True
        assert raw.read(raw.address("k")) == b"new"

    @pytest.mark.parametrize("expected", WRONG, ids=repr)
    def test_swap_not_matching(self, raw: Raw, expected: bytes | Absent) -> None:
        """A compare-and-set that expects anything else changes neither bytes nor expiry (C16)."""
        raw.write(raw.address("k"), b"old", 60_000)
        assert raw.compare_and_set(raw.address("k"), expected, b"new", None) is False
        assert raw.read(raw.address("k")) == b"old"
        left = raw.remaining_ttl_ms(raw.address("k"))
        assert isinstance(left, int)
        assert left <= 60_000

    def test_swap_absent(self, raw: Raw) -> None:
        """A compare-and-set that expects no record creates one, once (C16)."""
        assert raw.compare_and_set(raw.address("k"), ABSENT, b"1") is True
        assert raw.compare_and_set(raw.address("k"), ABSENT, b"2") is False
        assert raw.read(raw.address("k")) == b"1"
        assert raw.keys(raw.space()) == ["k"]

    def test_swap_bytes_where_none_are(self, raw: Raw) -> None:
        """A compare-and-set that expects bytes makes nothing where there is no record (C16)."""
        for expected in (b"", b"old"):
            assert raw.compare_and_set(raw.address("k"), expected, b"new") is False
        assert raw.read(raw.address("k")) is None
        assert raw.keys(raw.space()) == []

    def test_swap_empty_bytes(self, raw: Raw) -> None:
        """Empty bytes are bytes, and no absence (C16)."""
        raw.write(raw.address("k"), b"")
        assert raw.exists(raw.address("k")) is True
        assert raw.read(raw.address("k")) == b""
        assert raw.compare_and_set(raw.address("k"), ABSENT, b"1") is False
        assert raw.compare_and_set(raw.address("k"), b"", b"1") is True
        assert raw.compare_and_set(raw.address("k"), b"1", b"") is True
        assert raw.read(raw.address("k")) == b""

    def test_swap_binary_and_large(self, raw: Raw) -> None:
        """Bytes of any size and kind are compared to the last one (C16)."""
        for data in (bytes(range(256)), b"\x00", b"\x80\xff", b"x" * 100_000):
            raw.write(raw.address("k"), data)
            assert raw.compare_and_set(raw.address("k"), data + b"\x00", b"new") is False
            assert raw.compare_and_set(raw.address("k"), data[:-1], b"new") is False
            assert raw.compare_and_set(raw.address("k"), data[:-1] + b"\x01", b"new") is False
            assert raw.compare_and_set(raw.address("k"), data, b"new") is True

    def test_swap_same_bytes(self, raw: Raw) -> None:
        """A compare-and-set that writes equal bytes writes their expiry, too (C13, C16)."""
        raw.write(raw.address("k"), b"1")
        assert raw.compare_and_set(raw.address("k"), b"1", b"1", 60_000) is True
        assert isinstance(raw.remaining_ttl_ms(raw.address("k")), int)

    def test_swap_keep(self, raw: Raw) -> None:
        """KEEP leaves the expiry that there is, or none; on creation there is none (C13, C16)."""
        raw.write(raw.address("some"), b"1", 60_000)
        raw.write(raw.address("none"), b"1")
        for key in ("some", "none"):
            assert raw.compare_and_set(raw.address(key), b"1", b"2", KEEP_TTL) is True
        assert raw.compare_and_set(raw.address("new"), ABSENT, b"2", KEEP_TTL) is True
        left = raw.remaining_ttl_ms(raw.address("some"))
        assert isinstance(left, int)
        assert 40_000 < left <= 60_000
        assert raw.remaining_ttl_ms(raw.address("none")) is None
        assert raw.remaining_ttl_ms(raw.address("new")) is None

    def test_swap_new_expiry(self, raw: Raw) -> None:
        """A compare-and-set gives the expiry that it is given, or takes it away (C13, C16)."""
        raw.write(raw.address("none"), b"1")
        raw.write(raw.address("some"), b"1", 60_000)
        assert raw.compare_and_set(raw.address("none"), b"1", b"2", self.short_ms) is True
        assert raw.compare_and_set(raw.address("some"), b"1", b"2", None) is True
        assert raw.compare_and_set(raw.address("new"), ABSENT, b"2", self.short_ms) is True
        assert raw.remaining_ttl_ms(raw.address("some")) is None
        self.outlive()
        assert raw.keys(raw.space()) == ["some"]
