"""The cipher: one session that seals, and the sessions that open."""

from collections.abc import Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import Final

from fibonacci.errors import DecryptionError
from fibonacci.plugin import Cipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.forks import reset_in_children
from fibonacci_crypto.keys import SESSION_LIMIT, MasterKey, Passphrase, Session
from fibonacci_crypto.layout import HEADER_SIZES, MIN_HEADER_SIZE, SUITE, parse_header

MAX_SESSIONS: Final = 1_024
"""Sessions cached for opening, about 1 kB each."""


class KeyRing:
    """The keys and passphrases of a cipher: the first seals, all open."""

    def __init__(self, keys: Sequence[MasterKey | Passphrase], derivations: Derivations) -> None:
        """Take the keys, at least one, and the derivations that turn passphrases into keys."""
        self._sealing_key = keys[0]
        self._keys = {key.key_id: key for key in keys if isinstance(key, MasterKey)}
        self._passphrases = [key for key in keys if isinstance(key, Passphrase)]
        self._derivations = derivations

    def __str__(self) -> str:
        """Name the keys by their ids."""
        names = [f"the key {key_id.hex()}" for key_id in self._keys]
        count = len(self._passphrases)
        if count:
            names.append("a passphrase" if count == 1 else f"{count} passphrases")
        return ", ".join(names)

    def sealing_key(self) -> MasterKey:
        """Return the key to seal with. Raises EncryptionError if none can be derived."""
        key = self._sealing_key
        return self._derivations.sealing_key(key) if isinstance(key, Passphrase) else key

    def cached_sealing_key(self) -> MasterKey | None:
        """Return the key to seal with, None if it has not been derived yet."""
        key = self._sealing_key
        return self._derivations.cached_sealing_key(key) if isinstance(key, Passphrase) else key

    def session(self, header: bytes) -> Session:
        """Return the session of a record's header, after verifying its commitment to the key.

        Raises DecryptionError.
        """
        key_id, kdf_salt, session_salt = parse_header(header)
        if kdf_salt is None:
            key = self._keys.get(key_id)
        else:
            key = self._derivations.opening_key(self._passphrases, kdf_salt, key_id)
        if key is None:
            kind = "the key" if kdf_salt is None else "a passphrase, key id"
            raise DecryptionError(
                f"the record was sealed with {kind} {key_id.hex()}, and this memory has {self}. "
                f"Append the record's key or passphrase to encryption_key=[...]"
            )
        session = key.session(session_salt)
        if not compare_digest(session.header, header):
            raise DecryptionError(
                f"the record's header was modified after it was sealed with the key "
                f"{key_id.hex()}: restore the record, or overwrite it"
            )
        return session


class AesGcmCipher(Cipher):
    """Seals with the first key, and opens with all."""

    def __init__(
        self,
        keys: Sequence[MasterKey | Passphrase],
        derivations: Derivations,
        *,
        session_limit: int = SESSION_LIMIT,
    ) -> None:
        """Take the keys, at least one. A session ends after ``session_limit`` records."""
        self._ring = KeyRing(keys, derivations)
        self._session_limit = session_limit
        self._sealing_session: Session | None = None
        # Caches what was returned, and nothing for a header that was refused.
        self._opening_session = lru_cache(MAX_SESSIONS)(self._ring.session)
        reset_in_children(self)

    def __repr__(self) -> str:
        """Show the ids of the keys."""
        return f"<AesGcmCipher with {self._ring}>"

    def reset_after_fork(self) -> None:
        """Seal in a new session: the current one is the parent's."""
        self._sealing_session = None

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        session = self._sealing_session
        if session is None or next(session.numbers) > self._session_limit:
            session = self._ring.sealing_key().new_session()
            next(session.numbers)
            self._sealing_session = session
        return session.seal(plain, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        size = HEADER_SIZES.get(sealed[SUITE], MIN_HEADER_SIZE)
        return self._opening_session(sealed[:size]).open(sealed, aad)

    def is_current(self, sealed: bytes) -> bool:
        """Return whether the record was sealed with the current key, judging by its prefix."""
        key = self._ring.cached_sealing_key()
        return key is not None and sealed.startswith(key.prefix)
