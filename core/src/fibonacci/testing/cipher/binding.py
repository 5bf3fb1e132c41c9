"""Binding: a record that was moved, changed, cut or planted does not open."""

import os

import pytest

from fibonacci.errors import DecryptionError
from fibonacci.plugin import Cipher, encode_parts
from fibonacci.testing.cipher.bench import AAD, PLAIN, Bench

PLANTED = {
    "nothing": b"",
    "a plain value": PLAIN,
    "a number": b"1",
    "one byte": b"\x80",
    "0xFF": b"\xff" * 200,
    "NULs": bytes(200),
}


class Binding(Bench):
    """C24: authenticated, and bound to the address. All faults are a DecryptionError."""

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
    def test_moved(self, box: Cipher, other: bytes) -> None:
        """A record does not open at another address (C24)."""
        sealed = box.seal(PLAIN, AAD)
        self.refuses(box, sealed, other)
        assert box.open(sealed, AAD) == PLAIN

    def test_every_bit_of_the_address(self, box: Cipher) -> None:
        """Each bit of the address counts (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for bit in range(len(AAD) * 8):
            self.refuses(box, sealed, _flipped(AAD, bit))

    def test_every_bit(self, box: Cipher) -> None:
        """Each bit of the record counts (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for bit in range(len(sealed) * 8):
            self.refuses(box, _flipped(sealed, bit), AAD)

    def test_cut(self, box: Cipher) -> None:
        """A record that was cut at either end does not open, wherever it was cut (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for size in range(len(sealed)):
            self.refuses(box, sealed[:size], AAD)
            self.refuses(box, sealed[len(sealed) - size :], AAD)

    def test_extended(self, box: Cipher) -> None:
        """A record that has grown at either end does not open (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for more in (b"\0", b"\x80", sealed[:1], sealed[-1:], sealed, os.urandom(16)):
            self.refuses(box, sealed + more, AAD)
            self.refuses(box, more + sealed, AAD)

    def test_shifted(self, box: Cipher) -> None:
        """No byte goes over from the record to the address, or the other way (C24)."""
        sealed = box.seal(PLAIN, AAD)
        for size in range(1, 20):
            self.refuses(box, sealed[size:], AAD + sealed[:size])
            self.refuses(box, AAD[-size:] + sealed, AAD[:-size])

    def test_spliced(self, box: Cipher) -> None:
        """The start of one record and the end of another are no record (C24)."""
        one, two = box.seal(PLAIN, AAD), box.seal(PLAIN[::-1], AAD)
        for at in range(1, len(one)):
            if one[at:] != two[at:] and one[:at] != two[:at]:
                self.refuses(box, one[:at] + two[at:], AAD)

    @pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
    def test_planted(self, box: Cipher, planted: bytes) -> None:
        """What was never sealed does not open: least of all, as itself (C24, C25)."""
        self.refuses(box, planted, AAD)

    def test_random_bytes(self, box: Cipher) -> None:
        """Bytes at random, also behind the head of a real record, do not open (C24)."""
        head = box.seal(PLAIN, AAD)
        for size in range(0, 300, 3):
            self.refuses(box, os.urandom(size), AAD)
            self.refuses(box, head[:size] + os.urandom(40), AAD)

    def test_fine_after_a_fault(self, box: Cipher) -> None:
        """A record that did not open spoils no other (C24)."""
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
