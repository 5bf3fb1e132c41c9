"""Ciphers that open records which were moved, changed, cut or planted."""

import os
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers import Cipher as Stream
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from broken_ciphers.entry import NONCE, Sound, broken
from fibonacci.errors import DecryptionError


@broken("test_moved_record")
class NoAddress(Sound):
    """A record is not bound to its address: it opens at another user's."""

    def bound(self, sealed, aad):
        return b""


@broken("test_moved_record")
class HalfAddress(Sound):
    """A record is bound to the first bytes of its address."""

    def bound(self, sealed, aad):
        return aad[:16]


@broken("test_every_bit_of_the_address")
class AddressesFolded(Sound):
    """Addresses are compared case-insensitively."""

    def bound(self, sealed, aad):
        return aad.lower()


@broken("test_every_bit_of_the_record")
class LooseHead(Sound):
    """The first byte is not authenticated."""

    def bound(self, sealed, aad):
        return sealed[1:5] + aad


@broken("test_every_bit_of_the_record")
class OnlyHides(Sound):
    """AES in counter mode: encrypted, but not authenticated."""

    def seal(self, plain, aad):
        nonce = os.urandom(16)
        return b"\x80" + self.first + nonce + self.stream(nonce, aad, plain)

    def open(self, sealed, aad):
        if sealed[:5] != b"\x80" + self.first or len(sealed) < 21:
            raise DecryptionError("the record was sealed with another key")
        return self.stream(sealed[5:21], aad, sealed[21:])

    def stream(self, nonce, aad, text):
        key = sha256(self.first + aad).digest()
        return Stream(algorithms.AES(key), modes.CTR(nonce)).encryptor().update(text)


@broken("test_every_bit_of_the_record")
class SwallowsTampering(Sound):
    """A record that does not open is read as null."""

    def open(self, sealed, aad):
        try:
            return super().open(sealed, aad)
        except DecryptionError:
            return b"null"


@broken("test_planted_bytes")
class TakesPlain(Sound):
    """A plain value is accepted."""

    def open(self, sealed, aad):
        return sealed if sealed[:1] < b"\x80" else super().open(sealed, aad)


@broken("test_planted_bytes")
class TakesNothing(Sound):
    """Empty bytes open as an empty value."""

    def open(self, sealed, aad):
        return super().open(sealed, aad) if sealed else b""


@broken("test_extended_record")
class LeavesTheRest(Sound):
    """A record states its length, and bytes after it are ignored."""

    def seal(self, plain, aad):
        sealed = super().seal(plain, aad)
        return sealed[:5] + len(sealed).to_bytes(4, "big") + sealed[5:]

    def open(self, sealed, aad):
        size = int.from_bytes(sealed[5:9], "big")
        return super().open(sealed[:5] + sealed[9 : 4 + size], aad)


@broken("test_truncated_record")
class SearchesForTheStart(Sound):
    """Bytes before the record are ignored, and so is a missing first byte."""

    def open(self, sealed, aad):
        return super().open(b"\x80" + sealed[sealed.find(self.first) :], aad)


@broken("test_shifted_boundary")
class RunsTogether(Sound):
    """Address and record are authenticated as one text, without a separator."""

    def seal(self, plain, aad):
        sealed = super().seal(plain, b"")
        return sealed + sha256(self.first + aad + sealed).digest()

    def open(self, sealed, aad):
        if sha256(self.first + aad + sealed[:-32]).digest() != sealed[-32:]:
            raise DecryptionError("the record was changed")
        for start in range(len(sealed)):
            try:
                return super().open(sealed[start:-32], b"")
            except DecryptionError:
                continue
        raise DecryptionError("the record was changed")


@broken("test_truncated_record")
class OthersErrors(Sound):
    """The library's own errors are raised."""

    def open(self, sealed, aad):
        key = self.keys.get(sealed[1:5])
        if key is None:
            raise DecryptionError("the record was sealed with another key")
        return key.decrypt(sealed[NONCE], sealed[17:], self.bound(sealed, aad))


@broken("test_open_after_error")
class Sulks(Sound):
    """After an error no record opens any more."""

    sulking = False

    def open(self, sealed, aad):
        if self.sulking:
            raise DecryptionError("the record was changed")
        try:
            return super().open(sealed, aad)
        except DecryptionError:
            self.sulking = True
            raise


@broken("test_spliced_records")
class SignsTheStart(Sound):
    """Only the first half is authenticated."""

    def seal(self, plain, aad):
        half = len(plain) // 2
        start, end = super().seal(plain[:half], aad), super().seal(plain[half:], b"")
        return start + end + len(start).to_bytes(4, "big")

    def open(self, sealed, aad):
        size = int.from_bytes(sealed[-4:], "big")
        return super().open(sealed[:size], aad) + super().open(sealed[size:-4], b"")


@broken("test_random_bytes")
class OpensByHead(Sound):
    """A record that begins like the last one is returned from a cache."""

    last = (b"?", b"")

    def seal(self, plain, aad):
        sealed = super().seal(plain, aad)
        self.last = (sealed[:40], plain)
        return sealed

    def open(self, sealed, aad):
        head, plain = self.last
        return plain if sealed.startswith(head) else super().open(sealed, aad)
