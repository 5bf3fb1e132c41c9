"""A master key: what the keys of sessions are derived from."""

import hmac
import os
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fibonacci_crypto import layout
from fibonacci_crypto.session import Session

KEY_SIZE: Final = 32

_KEY_ID: Final = b"fibonacci/mem/key-id/v1"
_SESSION: Final = b"fibonacci/mem/v1\0"


class MasterKey:
    """32 secret bytes, the id that names them, and how the records sealed with them begin."""

    __slots__ = ("_key", "head", "key_id")

    def __init__(self, key: bytes, kdf_salt: bytes | None = None) -> None:
        """Take the key; and the salt, where it was derived from a passphrase."""
        self._key = key
        self.key_id = hmac.digest(key, _KEY_ID, sha256)[: layout.KEY_ID_SIZE]
        self.head = (
            layout.head_with_key(self.key_id)
            if kdf_salt is None
            else layout.head_with_passphrase(self.key_id, kdf_salt)
        )

    def __repr__(self) -> str:
        """Show the id, which tells nothing of the key."""
        return f"<MasterKey {self.key_id.hex()}>"

    def new_session(self) -> Session:
        """Return a session with a salt that was never used before."""
        return self.session(os.urandom(layout.SESSION_SALT_SIZE))

    def session(self, salt: bytes) -> Session:
        """Return the session of this salt (HKDF, RFC 5869, with SHA-512)."""
        size = 2 * KEY_SIZE
        okm = HKDF(SHA512(), size, salt, _SESSION + self.head).derive(self._key)
        return Session(okm[:KEY_SIZE], self.head + salt + okm[KEY_SIZE:])
