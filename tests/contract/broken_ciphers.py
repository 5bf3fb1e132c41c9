"""Ciphers with one defect each, most of them seen in released software.

Each docstring says what is wrong; ``test`` is the one that has to catch it.
"""

import itertools
import logging
import os
import time
from base64 import urlsafe_b64decode
from hashlib import sha256
from threading import Lock

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as Stream
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fibonacci.errors import ConfigurationError, DecryptionError
from fibonacci.plugin import Cipher

BROKEN = {}

NONCE = slice(5, 17)


def broken(test):
    """Enter a cipher in the list."""

    def enter(cipher):
        cipher.test = test
        BROKEN[cipher.__name__] = cipher
        return cipher

    return enter


class Sound(Cipher):
    """0x80, four bytes that name the key, a nonce, and what AES-GCM makes of the value."""

    def __init__(self, keys):
        raw = [self.read(key) for key in keys]
        self.first = self.name(raw[0])
        self.keys = {self.name(key): AESGCM(key) for key in raw}

    def read(self, key):
        try:
            raw = urlsafe_b64decode(key)
        except ValueError:
            raw = b""
        if len(raw) != 32:
            raise ConfigurationError("the encryption key must be 32 bytes in URL-safe base64")
        return raw

    def name(self, key):
        return sha256(b"name" + key).digest()[:4]

    def nonce(self):
        return os.urandom(12)

    def bound(self, sealed, aad):
        return sealed[:5] + aad

    def seal(self, plain, aad):
        head, nonce = b"\x80" + self.first, self.nonce()
        return head + nonce + self.keys[self.first].encrypt(nonce, plain, self.bound(head, aad))

    def open(self, sealed, aad):
        key = self.keys.get(sealed[1:5])
        if key is None:
            raise DecryptionError("the record was sealed with another key")
        try:
            return key.decrypt(sealed[NONCE], sealed[17:], self.bound(sealed, aad))
        except (InvalidTag, ValueError):
            raise DecryptionError("the record was changed, moved or cut") from None

    def is_current(self, sealed):
        return sealed[:5] == b"\x80" + self.first


@broken("test_moved")
class NoAddress(Sound):
    """A record is bound to nothing: one user's opens as another's."""

    def bound(self, sealed, aad):
        return b""


@broken("test_moved")
class HalfAddress(Sound):
    """A record is bound to the first bytes of its address."""

    def bound(self, sealed, aad):
        return aad[:16]


@broken("test_every_bit_of_the_address")
class AddressesFolded(Sound):
    """Addresses that differ in case are one."""

    def bound(self, sealed, aad):
        return aad.lower()


@broken("test_every_bit")
class LooseHead(Sound):
    """The first byte is not authenticated."""

    def bound(self, sealed, aad):
        return sealed[1:5] + aad


@broken("test_never_alike")
class NonceOfTheValue(Sound):
    """The nonce is a hash of the value: who has two equal records knows that they are."""

    def seal(self, plain, aad):
        self.nonce = lambda: sha256(plain + aad).digest()[:12]
        return super().seal(plain, aad)


@broken("test_no_stream_twice")
class NonceOfTheAddress(Sound):
    """The nonce is a hash of the address: two values of one record give each other away."""

    def seal(self, plain, aad):
        self.nonce = lambda: sha256(aad).digest()[:12]
        return super().seal(plain, aad)


class Counting(Sound):
    """The nonce is a number."""

    start = 0

    def __init__(self, keys):
        super().__init__(keys)
        self.numbers = itertools.count(self.start)

    def nonce(self):
        return next(self.numbers).to_bytes(12, "big")


@broken("test_two_processes")
class CountsFromNought(Counting):
    """Each process counts from the same number."""


@broken("test_child_seals_its_own")
class CountsOnAfterAFork(Counting):
    """A process counts from a number of its own; its children go on where it was."""

    @property
    def start(self):
        return int.from_bytes(os.urandom(11), "big")


@broken("test_threads")
class CountsWithoutALock(Sound):
    """Two threads may draw the same number."""

    def __init__(self, keys):
        super().__init__(keys)
        self.number = int.from_bytes(os.urandom(11), "big")

    def nonce(self):
        number = self.number + 1
        time.sleep(0)
        self.number = number
        return number.to_bytes(12, "big")


@broken("test_threads")
class OneAtATime(Sound):
    """What is being opened is kept where another thread may put its own."""

    def open(self, sealed, aad):
        self.aad = aad
        time.sleep(0)
        return super().open(sealed, self.aad)


@broken("test_fork_amid_sealing")
class LocksForEver(Sound):
    """A child that is forked while a thread holds the lock waits for it for ever."""

    patience = 0.5

    def __init__(self, keys):
        super().__init__(keys)
        self.lock = Lock()

    def seal(self, plain, aad):
        with self.lock:
            time.sleep(0.001)
            return super().seal(plain, aad)


@broken("test_first_byte")
class LooksPlain(Sound):
    """A record begins like a plain one."""

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
    """The value is authenticated, and stands there for all to read."""

    def seal(self, plain, aad):
        head, nonce = b"\x80" + self.first, self.nonce()
        mac = self.keys[self.first].encrypt(nonce, b"", head + aad + plain)
        return head + nonce + mac + plain

    def open(self, sealed, aad):
        super().open(sealed[:33], aad + sealed[33:])
        return sealed[33:]


@broken("test_every_bit")
class OnlyHides(Sound):
    """AES in counter mode: hidden, and nothing is checked."""

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


@broken("test_every_bit")
class SwallowsTampering(Sound):
    """A record that does not open is read as no value."""

    def open(self, sealed, aad):
        try:
            return super().open(sealed, aad)
        except DecryptionError:
            return b"null"


@broken("test_planted")
class TakesPlain(Sound):
    """What is not sealed is taken as it is."""

    def open(self, sealed, aad):
        return sealed if sealed[:1] < b"\x80" else super().open(sealed, aad)


@broken("test_planted")
class TakesNothing(Sound):
    """No bytes are no value."""

    def open(self, sealed, aad):
        return super().open(sealed, aad) if sealed else b""


@broken("test_extended")
class LeavesTheRest(Sound):
    """A record says how long it is, and what stands behind it does not matter."""

    def seal(self, plain, aad):
        sealed = super().seal(plain, aad)
        return sealed[:5] + len(sealed).to_bytes(4, "big") + sealed[5:]

    def open(self, sealed, aad):
        size = int.from_bytes(sealed[5:9], "big")
        return super().open(sealed[:5] + sealed[9 : 4 + size], aad)


@broken("test_cut")
class SearchesForTheStart(Sound):
    """What stands before the record does not matter, nor whether its first byte is there."""

    def open(self, sealed, aad):
        return super().open(b"\x80" + sealed[sealed.find(self.first) :], aad)


@broken("test_shifted")
class RunsTogether(Sound):
    """Address and record are authenticated as one text, without a word of where they meet."""

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


@broken("test_cut")
class OthersErrors(Sound):
    """The library's own errors come out."""

    def open(self, sealed, aad):
        key = self.keys.get(sealed[1:5])
        if key is None:
            raise DecryptionError("the record was sealed with another key")
        return key.decrypt(sealed[NONCE], sealed[17:], self.bound(sealed, aad))


@broken("test_another_key")
class OneKeyForAll(Sound):
    """What the user gave as the key does not matter."""

    def read(self, key):
        super().read(key)
        return b"k" * 32


@broken("test_all_keys_open")
class OneKeyOpens(Sound):
    """Only the first key opens."""

    def __init__(self, keys):
        super().__init__(keys[:1])


@broken("test_first_key_seals")
class LastKeySeals(Sound):
    """The last key seals."""

    def __init__(self, keys):
        super().__init__(keys[::-1])


@broken("test_every_step_of_a_rotation")
class TriesTwoKeysAtMost(Sound):
    """A key that stands second opens nothing."""

    def __init__(self, keys):
        super().__init__([keys[0], *keys[2:]])


@broken("test_is_current")
class AlwaysCurrent(Sound):
    """Nothing is ever sealed anew."""

    def is_current(self, sealed):
        return sealed[:1] == b"\x80"


@broken("test_is_current_of_anything")
class NeedsAHead(Sound):
    """It looks where nothing may be."""

    def is_current(self, sealed):
        return sealed[0] == 0x80 and super().is_current(sealed)


@broken("test_is_current_of_anything")
class TakesAllForIts(Sound):
    """It calls current what was never sealed."""

    def is_current(self, sealed):
        return sealed[1:5] not in (set(self.keys) - {self.first})


@broken("test_round_trip")
class DropsZeros(Sound):
    """Padding is taken off, and what looks like it."""

    def open(self, sealed, aad):
        return super().open(sealed, aad).rstrip(b"\0")


@broken("test_round_trip")
class SealsNoEmptyValue(Sound):
    """An empty value is none."""

    def seal(self, plain, aad):
        return super().seal(plain or b" ", aad)


@broken("test_any_address")
class ShortAddresses(Sound):
    """Long addresses are refused."""

    def seal(self, plain, aad):
        if len(aad) > 1_000:
            raise DecryptionError("the address is too long")
        return super().seal(plain, aad)


@broken("test_bytes")
class Changeable(Sound):
    """What is returned may change later."""

    def seal(self, plain, aad):  # pyright: ignore[reportIncompatibleMethodOverride]
        return bytearray(super().seal(plain, aad))

    def open(self, sealed, aad):
        return super().open(bytes(sealed), aad)


@broken("test_fine_after_a_fault")
class Sulks(Sound):
    """After a fault it opens nothing more."""

    sulking = False

    def open(self, sealed, aad):
        if self.sulking:
            raise DecryptionError("the record was changed")
        try:
            return super().open(sealed, aad)
        except DecryptionError:
            self.sulking = True
            raise


@broken("test_no_key_in_repr")
class ShowsItsKeys(Sound):
    """The repr has the keys in it."""

    def __init__(self, keys):
        super().__init__(keys)
        self.raw = [self.read(key) for key in keys]

    def __repr__(self):
        return f"<Cipher {self.raw}>"


@broken("test_no_secret_in_errors")
class QuotesTheKey(Sound):
    """An error helps with the key."""

    def __init__(self, keys):
        super().__init__(keys)
        self.hex = self.read(keys[0]).hex()

    def open(self, sealed, aad):
        try:
            return super().open(sealed, aad)
        except DecryptionError:
            raise DecryptionError(f"the record does not open with {self.hex}") from None


@broken("test_no_secret_in_logs")
class LogsValues(Sound):
    """A debug log has the value in it."""

    def seal(self, plain, aad):
        logging.getLogger("cipher").debug("sealing %r", plain)
        return super().seal(plain, aad)


@broken("test_unfit_key")
class TakesAnyKey(Sound):
    """A word is as good as a key."""

    def read(self, key):
        return sha256(key.encode()).digest()


@broken("test_unfit_key")
class QuotesWhatIsNoKey(Sound):
    """The error says what was given instead of a key."""

    def read(self, key):
        try:
            return super().read(key)
        except ConfigurationError:
            raise ConfigurationError(f"{key!r} is no key") from None


@broken("test_in_a_memory")
class OneKeyAlone(Sound):
    """A list of keys is refused."""

    def __init__(self, keys):
        if len(keys) > 2:
            raise ConfigurationError("one key is enough")
        super().__init__(keys)


@broken("test_spliced")
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
    """A record that begins as the last one did is taken from a cache."""

    last = (b"?", b"")

    def seal(self, plain, aad):
        sealed = super().seal(plain, aad)
        self.last = (sealed[:40], plain)
        return sealed

    def open(self, sealed, aad):
        head, plain = self.last
        return plain if sealed.startswith(head) else super().open(sealed, aad)
