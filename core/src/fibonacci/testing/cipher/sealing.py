"""Sealing: a record opens unchanged at its address, and nowhere else."""

import os
from typing import Final

import pytest

from fibonacci import MemoryConfig, Workflow
from fibonacci.errors import DecryptionError
from fibonacci.plugin import Cipher, encode_parts
from fibonacci.testing.cipher.fixtures import AAD, PLAIN, ContractFixtures
from fibonacci.testing.differences import difference

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


class SealingTests(ContractFixtures):
    """C7, C24 and C25."""

    @pytest.mark.parametrize("plain", TEXTS.values(), ids=TEXTS)
    def test_round_trip(self, box: Cipher, plain: bytes) -> None:
        """What is opened is what was sealed, to the byte (C7, C24)."""
        assert difference(box.open(box.seal(plain, AAD), AAD), plain) is None

    @pytest.mark.parametrize("aad", ADDRESSES.values(), ids=ADDRESSES)
    def test_any_aad(self, box: Cipher, aad: bytes) -> None:
        """A record can be bound to bytes of any kind and length (C24)."""
        assert box.open(box.seal(PLAIN, aad), aad) == PLAIN

    def test_result_is_bytes(self, box: Cipher) -> None:
        """Both seal and open return ``bytes`` (C7)."""
        sealed = box.seal(PLAIN, AAD)
        assert type(sealed) is bytes
        assert type(box.open(sealed, AAD)) is bytes

    def test_first_byte(self, box: Cipher) -> None:
        """The first byte is 0x80 or above, which starts no JSON (C25)."""
        for plain in (*TEXTS.values(), *(bytes([first]) * 20 for first in range(256))):
            assert box.seal(plain, AAD)[0] >= 0x80

    def test_value_is_hidden(self, box: Cipher) -> None:
        """No part of the value is in the record (C24)."""
        for plain in (os.urandom(1_000), b"the same again, " * 60):
            sealed = box.seal(plain, AAD)
            for start in range(len(plain) - WINDOW + 1):
                assert plain[start : start + WINDOW] not in sealed

    def test_records_differ(self, box: Cipher) -> None:
        """Two records of the same value and address differ (C24)."""
        sealed = [box.seal(PLAIN, AAD) for _ in range(1_000)]
        assert len(set(sealed)) == 1_000

    def test_no_keystream_is_reused(self, box: Cipher) -> None:
        """Two records of one address do not reveal the difference of their values (C24)."""
        long = os.urandom(64)
        other = bytes(byte ^ 0xFF for byte in long)
        one, two = box.seal(long, AAD), box.seal(other, AAD)
        ends = [
            bytes(a ^ b for a, b in zip(one[at:], two[at:], strict=False)) for at in range(len(one))
        ]
        assert not any(end.startswith(b"\xff" * WINDOW) for end in ends)

    def test_two_ciphers_with_one_key(self) -> None:
        """Two ciphers with the same key, as in two processes, seal differently (C24)."""
        one, two = self.cipher_of(self.keys[0]), self.cipher_of(self.keys[0])
        sealed = [box.seal(PLAIN, AAD) for box in (one, two) for _ in range(100)]
        assert len(set(sealed)) == 200
        assert two.open(sealed[0], AAD) == one.open(sealed[100], AAD) == PLAIN

    def test_memory(self) -> None:
        """A memory with this cipher stores values, which are unreadable without it (C24, C25)."""
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


PLANTED = {
    "nothing": b"",
    "a plain value": PLAIN,
    "a number": b"1",
    "one byte": b"\x80",
    "0xFF": b"\xff" * 200,
    "NULs": bytes(200),
}


class BindingTests(ContractFixtures):
    """C24: authenticated, and bound to the address. All errors are a DecryptionError."""

    @pytest.mark.parametrize(
        "other",
        [
            encode_parts("fibonacci:", "user", "bob", "history"),
            encode_parts("fibonacci:", "user", "ann", "histor"),
            encode_parts("fibonacci:", "workflow", "ann", "history"),
            encode_parts("other:", "user", "ann", "history"),
            AAD[:-1],
            AAD + b"\0",
            AAD[::-1],
            b"",
        ],
        ids=["owner", "key", "scope", "prefix", "shorter", "longer", "backwards", "none"],
    )
    def test_moved_record(self, box: Cipher, other: bytes) -> None:
        """A record does not open at another address (C24)."""
        sealed = box.seal(PLAIN, AAD)
        self.refuses(box, sealed, other)
        assert box.open(sealed, AAD) == PLAIN

    def test_every_bit_of_the_address(self, box: Cipher) -> None:
        """A record does not open if any bit of the address differs (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for bit in range(len(AAD) * 8):
            self.refuses(box, sealed, _flipped(AAD, bit))

    def test_every_bit_of_the_record(self, box: Cipher) -> None:
        """A record does not open if any bit of it differs (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for bit in range(len(sealed) * 8):
            self.refuses(box, _flipped(sealed, bit), AAD)

    def test_truncated_record(self, box: Cipher) -> None:
        """A record that was truncated at either end does not open (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for size in range(len(sealed)):
            self.refuses(box, sealed[:size], AAD)
            self.refuses(box, sealed[len(sealed) - size :], AAD)

    def test_extended_record(self, box: Cipher) -> None:
        """A record that was extended at either end does not open (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for more in (b"\0", b"\x80", sealed[:1], sealed[-1:], sealed, os.urandom(16)):
            self.refuses(box, sealed + more, AAD)
            self.refuses(box, more + sealed, AAD)

    def test_shifted_boundary(self, box: Cipher) -> None:
        """No byte can move from the record to the address, or back (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for size in range(1, 20):
            self.refuses(box, sealed[size:], AAD + sealed[:size])
            self.refuses(box, AAD[-size:] + sealed, AAD[:-size])

    def test_spliced_records(self, box: Cipher) -> None:
        """The start of one record and the end of another do not open (C24)."""
        one, two = box.seal(PLAIN, AAD), box.seal(PLAIN[::-1], AAD)
        for at in range(1, len(one)):
            if one[at:] != two[at:] and one[:at] != two[:at]:
                self.refuses(box, one[:at] + two[at:], AAD)

    @pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
    def test_planted_bytes(self, box: Cipher, planted: bytes) -> None:
        """Bytes that were never sealed do not open, least of all as themselves (C24, C25)."""
        self.refuses(box, planted, AAD)

    def test_random_bytes(self, box: Cipher) -> None:
        """Random bytes do not open, also after the head of a real record (C24)."""
        head = box.seal(PLAIN, AAD)
        for size in range(0, 300, 3):
            self.refuses(box, os.urandom(size), AAD)
            self.refuses(box, head[:size] + os.urandom(40), AAD)

    def test_open_after_error(self, box: Cipher) -> None:
        """A record that did not open does not affect others (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for bad in (b"\x80", sealed[:-1]):
            self.refuses(box, bad, AAD)
            assert box.open(sealed, AAD) == PLAIN

    def refuses(self, box: Cipher, sealed: bytes, aad: bytes) -> None:
        """Have it opened, and expect the one error there is."""
        with pytest.raises(DecryptionError):
            box.open(sealed, aad)


def _flipped(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)
