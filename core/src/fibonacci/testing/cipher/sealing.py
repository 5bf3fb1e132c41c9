"""Sealing: every value comes back exactly, and shows nothing of itself."""

import os
from typing import Final

import pytest

from fibonacci import MemoryConfig, Workflow
from fibonacci.plugin import Cipher
from fibonacci.testing.cipher.bench import AAD, PLAIN, Bench

WINDOW: Final = 8
"""Bytes in a row that no accident has in common."""

TEXTS: Final = {
    "empty": b"",
    "a digit": b"1",
    "JSON": PLAIN,
    "a blank and JSON": b" 18446744073709551616",
    "NULs at the end": b"ab\0\0\0",
    "padding": b"\x10" * 16,
    "all bytes": bytes(range(256)),
    "1 MB": bytes(range(250)) * 4_000,
}

ADDRESSES: Final = {"none": b"", "a byte": b"\0", "the longest": b"\xff" * 3_200}


class Sealing(Bench):
    """C7, C24 and C25."""

    @pytest.mark.parametrize("plain", TEXTS.values(), ids=TEXTS)
    def test_round_trip(self, box: Cipher, plain: bytes) -> None:
        """What is opened is what was sealed, to the byte (C7, C24)."""
        assert box.open(box.seal(plain, AAD), AAD) == plain

    @pytest.mark.parametrize("aad", ADDRESSES.values(), ids=ADDRESSES)
    def test_any_address(self, box: Cipher, aad: bytes) -> None:
        """A record can be bound to bytes of any kind and length (C24)."""
        assert box.open(box.seal(PLAIN, aad), aad) == PLAIN

    def test_bytes(self, box: Cipher) -> None:
        """Both ways, what is returned is ``bytes``, which nobody can change (C7)."""
        sealed = box.seal(PLAIN, AAD)
        assert type(sealed) is bytes
        assert type(box.open(sealed, AAD)) is bytes

    def test_first_byte(self, box: Cipher) -> None:
        """The first byte is 0x80 or above, whatever was sealed: no JSON starts so (C25)."""
        for plain in (*TEXTS.values(), *(bytes([first]) * 20 for first in range(256))):
            assert box.seal(plain, AAD)[0] >= 0x80

    def test_value_is_hidden(self, box: Cipher) -> None:
        """No part of the value stands in the record (C24)."""
        for plain in (os.urandom(1_000), b"the same again, " * 60):
            sealed = box.seal(plain, AAD)
            for start in range(len(plain) - WINDOW + 1):
                assert plain[start : start + WINDOW] not in sealed

    def test_never_alike(self, box: Cipher) -> None:
        """No two records are alike, though value and address are (C24)."""
        sealed = [box.seal(PLAIN, AAD) for _ in range(1_000)]
        assert len(set(sealed)) == 1_000

    def test_no_stream_twice(self, box: Cipher) -> None:
        """Two values of one address are not hidden alike: their difference is not told (C24)."""
        long = os.urandom(64)
        other = bytes(byte ^ 0xFF for byte in long)
        one, two = box.seal(long, AAD), box.seal(other, AAD)
        ends = [
            bytes(a ^ b for a, b in zip(one[at:], two[at:], strict=False)) for at in range(len(one))
        ]
        assert not any(end.startswith(b"\xff" * WINDOW) for end in ends)

    def test_two_processes(self) -> None:
        """Two ciphers with one key, as two processes have them, seal nothing alike (C24)."""
        one, two = self.cipher_of(self.keys[0]), self.cipher_of(self.keys[0])
        sealed = [box.seal(PLAIN, AAD) for box in (one, two) for _ in range(100)]
        assert len(set(sealed)) == 200
        assert two.open(sealed[0], AAD) == one.open(sealed[100], AAD) == PLAIN

    def test_in_a_memory(self) -> None:
        """A memory with this cipher keeps values, and nobody reads them without it (C24, C25)."""
        config = MemoryConfig(
            connection_url=f"memory://{self.cipher}-contract",
            encryption=self.cipher,
            encryption_key=list(self.keys),
            encrypt_values=True,
        )
        with Workflow("w", config) as workflow:
            workflow.memory.set("k", {"turns": [1, 2**70, "é"]})
            workflow.memory.append("list", 1, 2)
            assert workflow.memory.get("k") == {"turns": [1, 2**70, "é"]}
            assert workflow.memory.get("list") == [1, 2]
            assert isinstance(workflow.memory.rewrap(), int)
            workflow.memory.clear()
