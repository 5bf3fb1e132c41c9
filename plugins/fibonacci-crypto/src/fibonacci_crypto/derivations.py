"""Keys from passphrases: derived once a salt, and never often for nothing."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from fibonacci.errors import DecryptionError, EncryptionError
from fibonacci_crypto.layout import KDF_SALT_SIZE
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.recent import Recent
from fibonacci_crypto.turn import DERIVING

SALTS_KEPT: Final = 1_024
"""Salts that opened a record, and whose keys are remembered."""

STRANGERS_KEPT: Final = 64
"""The same of salts that opened nothing."""

GUESSES: Final = 8
"""Salts that may open nothing, in a minute: each costs 0.2 s of a processor, and 64 MiB."""

MINUTE: Final = 60.0


class Derivations:
    """What a process derived from its passphrases, for all its ciphers.

    One derivation runs at a time: a crowd of readers takes 64 MiB, not 64 MiB each.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Remember nothing yet. The clock counts seconds."""
        self._clock = clock
        self._keys: Recent[tuple[Passphrase, bytes], MasterKey] = Recent(SALTS_KEPT)
        self._strangers: Recent[tuple[Passphrase, bytes], MasterKey] = Recent(STRANGERS_KEPT)
        self._sealing: Recent[Passphrase, MasterKey] = Recent(SALTS_KEPT)
        self._failures: deque[float] = deque(maxlen=GUESSES)

    def sealing_key(self, passphrase: Passphrase) -> MasterKey:
        """Return the key to seal with: of the first salt that opened a record, else of a new one.

        Raises EncryptionError.
        """
        known = self._sealing.get(passphrase)
        if known is not None:
            return known
        with DERIVING.lock:
            if (known := self._sealing.get(passphrase)) is None:
                salt = os.urandom(KDF_SALT_SIZE)
                known = self._kept(passphrase, salt, passphrase.derive(salt))
            return known

    def known_sealing_key(self, passphrase: Passphrase) -> MasterKey | None:
        """Return the same if it is known already, else None."""
        return self._sealing.get(passphrase)

    def opening_key(
        self, passphrases: Sequence[Passphrase], salt: bytes, key_id: bytes
    ) -> MasterKey | None:
        """Return the key that has this id, by one of the passphrases; None if none gives it.

        Raises DecryptionError, also where too many salts opened nothing of late.
        """
        known = self._known(passphrases, salt, key_id)
        if known is not None:
            return known
        with DERIVING.lock:
            known = self._known(passphrases, salt, key_id)
            try:
                return known or self._derived(passphrases, salt, key_id)
            except EncryptionError as fault:
                raise DecryptionError(str(fault)) from None

    def _known(
        self, passphrases: Sequence[Passphrase], salt: bytes, key_id: bytes
    ) -> MasterKey | None:
        for passphrase in passphrases:
            at = passphrase, salt
            key = self._keys.get(at) or self._strangers.get(at)
            if key is not None and key.key_id == key_id:
                return self._kept(passphrase, salt, key)
        return None

    def _derived(
        self, passphrases: Sequence[Passphrase], salt: bytes, key_id: bytes
    ) -> MasterKey | None:
        strangers = {}
        for passphrase in passphrases:
            at = passphrase, salt
            if at in self._keys or at in self._strangers:
                continue
            self._check_failures()
            key = passphrase.derive(salt)
            if key.key_id == key_id:
                return self._kept(passphrase, salt, key)
            strangers[at] = key
        if strangers:
            self._failures.append(self._clock())
        for at, key in strangers.items():
            self._strangers.put(at, key)
        return None

    def _kept(self, passphrase: Passphrase, salt: bytes, key: MasterKey) -> MasterKey:
        self._keys.put((passphrase, salt), key)
        if passphrase not in self._sealing:
            self._sealing.put(passphrase, key)
        return key

    def _check_failures(self) -> None:
        failures = self._failures
        if len(failures) == GUESSES and self._clock() - failures[0] < MINUTE:
            raise DecryptionError(
                f"{GUESSES} records in a minute were sealed with a passphrase that this memory "
                f"does not have; the next is tried when the minute is over. Add their passphrase "
                f"to encryption_key, or remove what somebody else planted"
            )
