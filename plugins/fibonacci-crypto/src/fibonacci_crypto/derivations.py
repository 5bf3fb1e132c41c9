"""Keys from passphrases: derived once a salt, and never often for nothing."""

import os
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Final

from fibonacci.errors import DecryptionError, EncryptionError
from fibonacci_crypto.layout import KDF_SALT_SIZE
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.pace import Pace
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.recent import Recent
from fibonacci_crypto.turn import DERIVING

SALTS_KEPT: Final = 1_024
"""Salts that opened a record, and whose keys are remembered."""

STRANGERS_KEPT: Final = 1_024
"""The same of salts that opened nothing: to read a planted record again costs nothing."""


class Derivations:
    """What a process derived from its passphrases, for all its ciphers.

    One derivation runs at a time: a crowd of readers takes 64 MiB, not 64 MiB each.
    """

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] = sleep,
    ) -> None:
        """Remember nothing yet. Both count seconds."""
        self._clock = clock
        self._sleep = sleep
        self._keys: Recent[tuple[Passphrase, bytes], MasterKey] = Recent(SALTS_KEPT)
        self._strangers: Recent[tuple[Passphrase, bytes], MasterKey] = Recent(STRANGERS_KEPT)
        self._sealing: Recent[Passphrase, MasterKey] = Recent(SALTS_KEPT)
        self._paces: Recent[tuple[Passphrase, ...], Pace] = Recent(SALTS_KEPT)

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

        Raises DecryptionError, also where it would have to wait for too long.
        """
        pace = self._pace(tuple(passphrases))
        end = pace.patience()
        while (known := self._known(passphrases, salt, key_id)) is None:
            untried = self._untried(passphrases, salt)
            if not untried:
                return None
            pace.wait(end)
            with DERIVING.lock:
                # Others may have been faster: with this salt, or with one that opened nothing.
                if untried == self._untried(passphrases, salt) and pace.is_free():
                    return self._derived(untried, salt, key_id, pace)
        return known

    def _pace(self, passphrases: tuple[Passphrase, ...]) -> Pace:
        """Return the pace of all memories with these passphrases: others have their own."""
        pace = self._paces.get(passphrases)
        if pace is None:
            pace = Pace(self._clock, self._sleep)
            self._paces.put(passphrases, pace)
        return pace

    def _untried(self, passphrases: Sequence[Passphrase], salt: bytes) -> list[Passphrase]:
        return [
            one
            for one in passphrases
            if (one, salt) not in self._keys and (one, salt) not in self._strangers
        ]

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
        self, passphrases: Sequence[Passphrase], salt: bytes, key_id: bytes, pace: Pace
    ) -> MasterKey | None:
        began, strangers = self._clock(), []
        for passphrase in passphrases:
            try:
                key = passphrase.derive(salt)
            except EncryptionError as fault:
                raise DecryptionError(str(fault)) from None
            if key.key_id == key_id:
                return self._kept(passphrase, salt, key)
            strangers.append((passphrase, key))
        for passphrase, key in strangers:
            self._strangers.put((passphrase, salt), key)
        pace.failed(self._clock() - began)
        return None

    def _kept(self, passphrase: Passphrase, salt: bytes, key: MasterKey) -> MasterKey:
        self._keys.put((passphrase, salt), key)
        if passphrase not in self._sealing:
            self._sealing.put(passphrase, key)
        return key
