"""The registry of broken ciphers, and the sound one that they derive from."""

import itertools
import os
from base64 import urlsafe_b64decode
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fibonacci.errors import ConfigurationError, DecryptionError
from fibonacci.plugin import Cipher

BROKEN = {}

NONCE = slice(5, 17)


def broken(test):
    """Register a cipher."""

    def enter(cipher):
        cipher.test = test
        BROKEN[cipher.__name__] = cipher
        return cipher

    return enter


class Sound(Cipher):
    """0x80, four bytes that name the key, a nonce, and the value under AES-GCM."""

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


class Counting(Sound):
    """The nonce is a counter."""

    start = 0

    def __init__(self, keys):
        super().__init__(keys)
        self.numbers = itertools.count(self.start)

    def nonce(self):
        return next(self.numbers).to_bytes(12, "big")
