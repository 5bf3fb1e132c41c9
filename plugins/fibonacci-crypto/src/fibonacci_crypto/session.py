"""A session: the records that are sealed with one derived key."""

import os
from itertools import count
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fibonacci.errors import DecryptionError, EncryptionError
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_crypto.layout import KEY_ID, NONCE_SIZE

SESSION_LIMIT: Final = 2**20
"""Records that a session may seal: two of them share a nonce with a chance of 2^-57."""


class Session:
    """One AES-256-GCM key, and the header that says how it was derived."""

    __slots__ = ("_aead", "_nonce_end", "_nonce_start", "header", "numbers")

    def __init__(self, key: bytes, header: bytes) -> None:
        """Take the key, and what stands in front of all records that it seals."""
        self._aead = AESGCM(key)
        self._nonce_start = len(header)
        self._nonce_end = len(header) + NONCE_SIZE
        self.header = header
        self.numbers = count(1)
        """The records are numbered: ``next`` is atomic, and no two threads get the same."""

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Return the record (NIST SP 800-38D, a random nonce of 96 bits); EncryptionError."""
        header = self.header
        try:
            nonce = os.urandom(NONCE_SIZE)
            return header + nonce + self._aead.encrypt(nonce, plain, header + aad)
        except (OverflowError, OSError) as fault:
            raise_for_signal(fault)
            raise EncryptionError(
                f"a value of {len(plain):,} bytes can't be sealed: {type(fault).__name__}"
            ) from None

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the value; DecryptionError where one bit of either is not what it was."""
        nonce = sealed[self._nonce_start : self._nonce_end]
        try:
            return self._aead.decrypt(nonce, sealed[self._nonce_end :], self.header + aad)
        except (InvalidTag, ValueError, OverflowError) as fault:  # a nonce cut off: ValueError
            raise_for_signal(fault)
            raise DecryptionError(
                f"the record was changed, cut off or moved since it was sealed with the key "
                f"{self.header[KEY_ID].hex()}: restore it, or set it anew"
            ) from None
