"""The cipher: one session that seals, and the sessions that open."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from fibonacci.plugin import Cipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.forks import renew_in_children
from fibonacci_crypto.layout import HEADER_SIZES, SMALLEST_HEADER, SUITE
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.ring import KeyRing
from fibonacci_crypto.session import SESSION_LIMIT, Session

SESSIONS_KEPT: Final = 1_024
"""Sessions whose keys are remembered to open with, about 1 kB each."""


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
        self._limit = session_limit
        self._sealing: Session | None = None
        # It keeps what was returned, and nothing of a header that was refused.
        self._opening = lru_cache(SESSIONS_KEPT)(self._ring.session)
        renew_in_children(self)

    def __repr__(self) -> str:
        """Show the ids of the keys."""
        return f"<AesGcmCipher with {self._ring}>"

    def renew(self) -> None:
        """Seal in a new session: the other one is the parent's."""
        self._sealing = None

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        session = self._sealing
        if session is None or next(session.numbers) > self._limit:
            session = self._ring.sealing_key().new_session()
            next(session.numbers)
            self._sealing = session
        return session.seal(plain, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        size = HEADER_SIZES.get(sealed[SUITE], SMALLEST_HEADER)
        return self._opening(sealed[:size]).open(sealed, aad)

    def is_current(self, sealed: bytes) -> bool:
        """Say whether the record was sealed as this cipher seals now: a look at its head."""
        key = self._ring.known_sealing_key()
        return key is not None and sealed.startswith(key.head)
