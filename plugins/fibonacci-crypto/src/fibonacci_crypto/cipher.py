"""The cipher: sessions that seal, and sessions that open."""

from collections.abc import Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import Final

from fibonacci.errors import DecryptionError
from fibonacci.plugin import Cipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.forks import renew_in_children
from fibonacci_crypto.layout import HEADER_SIZES, SMALLEST_HEADER, SUITE, parse
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.session import SESSION_LIMIT, Session

SESSIONS_KEPT: Final = 1_024
"""Sessions of other processes whose keys are remembered, about 1 kB each."""


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
        self._first = keys[0]
        self._keys = {key.key_id: key for key in keys if isinstance(key, MasterKey)}
        self._passphrases = [key for key in keys if isinstance(key, Passphrase)]
        self._derivations = derivations
        self._limit = session_limit
        self._sealing: Session | None = None
        # It keeps what was returned, and nothing of a header that was refused.
        self._opening = lru_cache(SESSIONS_KEPT)(self._session)
        renew_in_children(self)

    def __repr__(self) -> str:
        """Show the ids of the keys."""
        return f"<AesGcmCipher with {self._named()}>"

    def renew(self) -> None:
        """Seal in a new session: the other one is the parent's."""
        self._sealing = None

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        session = self._sealing
        if session is None or next(session.numbers) > self._limit:
            session = self._sealing_key().new_session()
            next(session.numbers)
            self._sealing = session
        return session.seal(plain, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        size = HEADER_SIZES.get(sealed[SUITE], SMALLEST_HEADER)
        return self._opening(sealed[:size]).open(sealed, aad)

    def is_current(self, sealed: bytes) -> bool:
        """Say whether the record was sealed as this cipher seals now: a look at its head."""
        key = self._first
        if isinstance(key, Passphrase):
            known = self._derivations.known_sealing_key(key)
            return known is not None and sealed.startswith(known.head)
        return sealed.startswith(key.head)

    def _sealing_key(self) -> MasterKey:
        key = self._first
        return self._derivations.sealing_key(key) if isinstance(key, Passphrase) else key

    def _session(self, header: bytes) -> Session:
        """Return the session of another record, made by one who has the key; DecryptionError."""
        key_id, kdf_salt, session_salt = parse(header)
        if kdf_salt is None:
            key = self._keys.get(key_id)
        else:
            key = self._derivations.opening_key(self._passphrases, kdf_salt, key_id)
        if key is None:
            raise DecryptionError(self._unknown(key_id, kdf_salt is not None))
        session = key.session(session_salt)
        if not compare_digest(session.header, header):
            raise DecryptionError(
                f"the header of the record was changed since it was sealed with the key "
                f"{key_id.hex()}: restore the record, or set it anew"
            )
        return session

    def _unknown(self, key_id: bytes, by_passphrase: bool) -> str:
        kind = "a passphrase, as the key" if by_passphrase else "the key"
        return (
            f"the record was sealed with {kind} {key_id.hex()}, and this memory has "
            f"{self._named()}. Add what sealed it to the end of the list encryption_key=[...]"
        )

    def _named(self) -> str:
        names = [f"the key {key_id.hex()}" for key_id in self._keys]
        count = len(self._passphrases)
        if count:
            names.append("a passphrase" if count == 1 else f"{count} passphrases")
        return ", ".join(names)
