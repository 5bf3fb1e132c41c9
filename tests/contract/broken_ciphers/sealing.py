"""Ciphers that reveal something of the value, or lose some of it."""

from hashlib import sha256

from broken_ciphers.entry import NONCE, Counting, Sound, broken
from fibonacci.errors import ConfigurationError, DecryptionError


@broken("test_records_differ")
class NonceOfTheValue(Sound):
    """The nonce is a hash of the value: equal records are recognizable."""

    def seal(self, plain, aad):
        self.nonce = lambda: sha256(plain + aad).digest()[:12]
        return super().seal(plain, aad)


@broken("test_no_keystream_is_reused")
class NonceOfTheAddress(Sound):
    """The nonce is a hash of the address: two values of one record reveal each other."""

    def seal(self, plain, aad):
        self.nonce = lambda: sha256(aad).digest()[:12]
        return super().seal(plain, aad)


@broken("test_two_ciphers_with_one_key")
class CountsFromZero(Counting):
    """Each process counts from the same number."""


@broken("test_first_byte")
class LooksPlain(Sound):
    """A sealed record begins like a plain one."""

    def seal(self, plain, aad):
        return b"{" + super().seal(plain, aad)

    def open(self, sealed, aad):
        if sealed[:1] != b"{":
            raise DecryptionError("the record was not sealed here")
        return super().open(sealed[1:], aad)

    def is_current(self, sealed):
        return super().is_current(sealed[1:])


@broken("test_first_byte")
class FirstByteByChance(Sound):
    """A record begins with its nonce."""

    def seal(self, plain, aad):
        sealed = super().seal(plain, aad)
        return sealed[NONCE] + sealed[:5] + sealed[17:]

    def open(self, sealed, aad):
        return super().open(sealed[12:17] + sealed[:12] + sealed[17:], aad)

    def is_current(self, sealed):
        return super().is_current(sealed[12:17])


@broken("test_value_is_hidden")
class OnlySigns(Sound):
    """The value is authenticated, but not encrypted."""

    def seal(self, plain, aad):
        head, nonce = b"\x80" + self.first, self.nonce()
        mac = self.keys[self.first].encrypt(nonce, b"", head + aad + plain)
        return head + nonce + mac + plain

    def open(self, sealed, aad):
        super().open(sealed[:33], aad + sealed[33:])
        return sealed[33:]


@broken("test_round_trip")
class DropsZeros(Sound):
    """Padding is removed, and so are zeros of the value."""

    def open(self, sealed, aad):
        return super().open(sealed, aad).rstrip(b"\0")


@broken("test_round_trip")
class SealsNoEmptyValue(Sound):
    """An empty value opens as a space."""

    def seal(self, plain, aad):
        return super().seal(plain or b" ", aad)


@broken("test_any_aad")
class ShortAddresses(Sound):
    """Long addresses are refused."""

    def seal(self, plain, aad):
        if len(aad) > 1_000:
            raise DecryptionError("the address is too long")
        return super().seal(plain, aad)


@broken("test_result_is_bytes")
class Changeable(Sound):
    """A sealed record is mutable."""

    def seal(self, plain, aad):  # pyright: ignore[reportIncompatibleMethodOverride]
        return bytearray(super().seal(plain, aad))

    def open(self, sealed, aad):
        return super().open(bytes(sealed), aad)


@broken("test_memory")
class OneKeyAlone(Sound):
    """A list of keys is refused."""

    def __init__(self, keys):
        if len(keys) > 2:
            raise ConfigurationError("one key is enough")
        super().__init__(keys)
