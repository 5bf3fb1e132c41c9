"""Faults are told as faults: never as a default, and never as somebody else's value."""

import math
import time
from contextlib import suppress

import pytest

from fibonacci import (
    BackendUnavailableError,
    ConfigurationError,
    CorruptRecordError,
    MemoryManager,
    OutcomeUnknownError,
)
from fibonacci.plugin import StoreURL
from fibonacci.testing.store.bench import Bench, Opener
from fibonacci.testing.store.spoken import Raw

CORRUPT = [b"", b"{oops", b"NaN", b"nul", b"\x00\x01", b" ", b"1 2", b"[1", b"'a'", b'"\xff"']
SEALED = [b"\x80", b"\x80\x01\x02 sealed", b"\xff" * 40]


class Faults(Bench):
    """C8, C18, C23 and C25."""

    def test_corrupt_record(self, memory: MemoryManager, raw: Raw) -> None:
        """Bytes that are no JSON raise, and are not read as the default (C8)."""
        for data in CORRUPT:
            raw.write(raw.address("k"), data)
            with pytest.raises(CorruptRecordError):
                memory.get("k", default="default")
            with pytest.raises(CorruptRecordError):
                memory.get_many(["k"])

    def test_corrupt_record_can_be_replaced(self, memory: MemoryManager, raw: Raw) -> None:
        """A corrupt record is listed, and can be replaced and deleted (C8, C14)."""
        raw.write(raw.address("k"), b"{oops")
        assert memory.list_keys() == ["k"]
        assert memory.exists("k") is True
        memory.set("k", 1)
        assert memory.get("k") == 1
        raw.write(raw.address("k"), b"{oops")
        assert memory.delete("k") is True

    def test_sealed_record_is_handled(self, memory: MemoryManager, raw: Raw) -> None:
        """exists, list_keys, ttl, touch, delete and clear need no key (C25)."""
        for number, data in enumerate(SEALED):
            raw.write(raw.address(str(number)), data)
        assert memory.exists("0") is True
        assert memory.list_keys() == ["0", "1", "2"]
        assert memory.ttl("0") == math.inf
        assert memory.touch("0", 60) is True
        assert raw.read(raw.address("0")) == SEALED[0]
        assert memory.delete("0") is True
        assert memory.delete_many(["0", "1"]) == 1
        assert memory.clear() is True
        assert raw.read(raw.address("2")) is None

    def test_read_out_of_time(self, raw: Raw) -> None:
        """A read whose deadline has passed answers right or raises: never "absent" (C14, C18)."""
        raw.write(raw.address("k"), b"1")
        for _ in range(3):
            with suppress(BackendUnavailableError):
                assert raw.read(raw.address("k"), deadline=time.monotonic() - 1) == b"1"
            assert raw.read(raw.address("k")) == b"1"

    def test_write_out_of_time(self, raw: Raw) -> None:
        """A write whose deadline has passed is done, or raises what became of it (C18)."""
        raw.write(raw.address("k"), b"old")
        possible = {b"new"}
        try:
            raw.write(raw.address("k"), b"new", deadline=time.monotonic() - 1)
        except BackendUnavailableError:
            possible = {b"old"}
        except OutcomeUnknownError:
            possible = {b"old", b"new"}
        assert raw.read(raw.address("k")) in possible

    def test_unknown_option(self, opener: Opener) -> None:
        """An option that the backend does not have is refused, and its value not told (C23)."""
        if not isinstance(self.backend, str):
            return
        options = {**self.options, "no_such_option": "hunter2"}
        with pytest.raises(ConfigurationError) as caught:
            opener.workflow(options=options)
        assert "hunter2" not in str(caught.value)

    def test_no_password_in_repr(self, raw: Raw, opener: Opener) -> None:
        """The repr of the store does not tell the password of its URL (C23)."""
        url = opener.config["connection_url"]
        password = StoreURL.parse(url).password if url else None
        raw.read(raw.address("k"))
        told = f"{raw.store!r} {raw.store} {opener.workflow()!r}"
        assert not password or password not in told
