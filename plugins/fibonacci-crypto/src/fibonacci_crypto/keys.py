"""The key hierarchy: a passphrase derives a master key, which derives the key of each session."""

import hmac
import os
from hashlib import sha256
from itertools import count
from typing import Final

import attrs
from cryptography.exceptions import InternalError, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fibonacci.errors import DecryptionError, EncryptionError
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_crypto.layout import (
    KEY_ID,
    KEY_ID_SIZE,
    NONCE_SIZE,
    SESSION_SALT_SIZE,
    key_prefix,
    passphrase_prefix,
)

KEY_SIZE: Final = 32

SESSION_LIMIT: Final = 2**20
"""Records that a session may seal: two of them share a nonce with a chance of 2^-57."""

_KEY_ID_LABEL: Final = b"fibonacci/mem/key-id/v1"
_SESSION_LABEL: Final = b"fibonacci/mem/v1\0"


class Session:
    """One AES-256-GCM key, and the header that says how it was derived."""

    __slots__ = ("_aead", "_nonce_end", "_nonce_start", "header", "numbers")

    def __init__(self, key: bytes, header: bytes) -> None:
        """Take the key, and the header of all records that it seals."""
        self._aead = AESGCM(key)
        self._nonce_start = len(header)
        self._nonce_end = len(header) + NONCE_SIZE
        self.header = header
        self.numbers = count(1)
        """Numbers the records: ``next`` is atomic, so no two threads get the same number."""

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Return the record (NIST SP 800-38D, random 96-bit nonce). Raises EncryptionError."""
        header = self.header
        try:
            nonce = os.urandom(NONCE_SIZE)
            return header + nonce + self._aead.encrypt(nonce, plain, header + aad)
        except (OverflowError, OSError) as error:
            raise_for_signal(error)
            raise EncryptionError(
                f"a value of {len(plain):,} bytes can't be sealed: {type(error).__name__}"
            ) from None

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the value. Raises DecryptionError if a bit of the record or the AAD differs."""
        nonce = sealed[self._nonce_start : self._nonce_end]
        try:
            return self._aead.decrypt(nonce, sealed[self._nonce_end :], self.header + aad)
        except (InvalidTag, ValueError, OverflowError) as error:  # a truncated nonce: ValueError
            raise_for_signal(error)
            raise DecryptionError(
                f"the record was modified, truncated or moved after it was sealed with the key "
                f"{self.header[KEY_ID].hex()}: restore it, or overwrite it"
            ) from None


class MasterKey:
    """A secret of 32 bytes, its id, and the prefix of the records sealed with it."""

    __slots__ = ("_key", "key_id", "prefix")

    def __init__(self, key: bytes, kdf_salt: bytes | None = None) -> None:
        """Take the key; and the salt if it was derived from a passphrase."""
        self._key = key
        self.key_id = hmac.digest(key, _KEY_ID_LABEL, sha256)[:KEY_ID_SIZE]
        self.prefix = (
            key_prefix(self.key_id)
            if kdf_salt is None
            else passphrase_prefix(self.key_id, kdf_salt)
        )

    def __repr__(self) -> str:
        """Show the id, which reveals nothing about the key."""
        return f"<MasterKey {self.key_id.hex()}>"

    def new_session(self) -> Session:
        """Return a session with a new random salt."""
        return self.session(os.urandom(SESSION_SALT_SIZE))

    def session(self, salt: bytes) -> Session:
        """Return the session of this salt (HKDF, RFC 5869, with SHA-512)."""
        size = 2 * KEY_SIZE
        okm = HKDF(SHA512(), size, salt, _SESSION_LABEL + self.prefix).derive(self._key)
        return Session(okm[:KEY_SIZE], self.prefix + salt + okm[KEY_SIZE:])


@attrs.frozen
class Passphrase:
    """A passphrase, hidden in its repr."""

    text: str = attrs.field(repr=False)

    def derive(self, salt: bytes) -> MasterKey:
        """Return the key (Argon2id, RFC 9106, second recommended option), or EncryptionError."""
        try:
            argon2 = Argon2id(
                salt=salt, length=KEY_SIZE, iterations=3, lanes=4, memory_cost=64 * 1024
            )
            return MasterKey(argon2.derive(self.text.encode()), salt)
        except (MemoryError, UnsupportedAlgorithm, InternalError) as error:
            raise_for_signal(error)
            raise EncryptionError(
                f"no key can be derived from the passphrase ({type(error).__name__}): Argon2id "
                f"requires 64 MiB of memory and an OpenSSL that supports it. A key from "
                f"fibonacci.generate_key() requires neither"
            ) from None
