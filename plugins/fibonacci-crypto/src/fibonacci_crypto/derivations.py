"""Keys derived from passphrases: once per salt, and at a limited rate for unknown salts."""

import os
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Final

from fibonacci.errors import DecryptionError, EncryptionError
from fibonacci_crypto.forks import ForkSafeLock
from fibonacci_crypto.keys import MasterKey, Passphrase
from fibonacci_crypto.layout import KDF_SALT_SIZE
from fibonacci_crypto.lru_cache import LRUCache
from fibonacci_crypto.rate_limit import DerivationLimiter

MAX_SALTS: Final = 1_024
"""Salts of opened records whose keys are cached."""

MAX_UNMATCHED_SALTS: Final = 1_024
"""Salts that opened nothing, cached so that reading a forged record again costs nothing."""

DERIVATION_LOCK: Final = ForkSafeLock()
"""Held while a key is derived: one derivation at a time, and none during a fork."""
DERIVATION_LOCK.guard_forks()


class Derivations:
    """A process's keys derived from passphrases, shared by all its ciphers.

    One derivation runs at a time: concurrent readers take 64 MiB together, not each.
    """

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], object] = sleep,
    ) -> None:
        """Start with empty caches. Both arguments count seconds."""
        self._clock = clock
        self._sleep = sleep
        self._keys: LRUCache[tuple[Passphrase, bytes], MasterKey] = LRUCache(MAX_SALTS)
        self._unmatched: LRUCache[tuple[Passphrase, bytes], MasterKey] = LRUCache(
            MAX_UNMATCHED_SALTS
        )
        self._sealing_keys: LRUCache[Passphrase, MasterKey] = LRUCache(MAX_SALTS)
        self._limiters: LRUCache[tuple[Passphrase, ...], DerivationLimiter] = LRUCache(MAX_SALTS)

    def sealing_key(self, passphrase: Passphrase) -> MasterKey:
        """Return the key to seal with: of the first salt that opened a record, else of a new one.

        Raises EncryptionError.
        """
        key = self._sealing_keys.get(passphrase)
        if key is not None:
            return key
        with DERIVATION_LOCK.lock:
            if (key := self._sealing_keys.get(passphrase)) is None:
                salt = os.urandom(KDF_SALT_SIZE)
                key = self._store(passphrase, salt, passphrase.derive(salt))
            return key

    def cached_sealing_key(self, passphrase: Passphrase) -> MasterKey | None:
        """Return the key to seal with, None if it has not been derived yet."""
        return self._sealing_keys.get(passphrase)

    def opening_key(
        self, passphrases: Sequence[Passphrase], salt: bytes, key_id: bytes
    ) -> MasterKey | None:
        """Return the key with this id, derived from one of the passphrases; None if none has it.

        Raises DecryptionError, also if it would have to wait for too long.
        """
        limiter = self._limiter(tuple(passphrases))
        deadline = limiter.deadline()
        while (key := self._cached(passphrases, salt, key_id)) is None:
            untried = self._untried(passphrases, salt)
            if not untried:
                return None
            limiter.wait(deadline)
            with DERIVATION_LOCK.lock:
                # Others may have been faster: with this salt, or with one that opened nothing.
                if untried == self._untried(passphrases, salt) and limiter.is_open():
                    return self._derive(untried, salt, key_id, limiter)
        return key

    def _limiter(self, passphrases: tuple[Passphrase, ...]) -> DerivationLimiter:
        """Return the limiter shared by all memories with these passphrases."""
        limiter = self._limiters.get(passphrases)
        if limiter is None:
            limiter = DerivationLimiter(self._clock, self._sleep)
            self._limiters.put(passphrases, limiter)
        return limiter

    def _untried(self, passphrases: Sequence[Passphrase], salt: bytes) -> list[Passphrase]:
        return [
            passphrase
            for passphrase in passphrases
            if (passphrase, salt) not in self._keys and (passphrase, salt) not in self._unmatched
        ]

    def _cached(
        self, passphrases: Sequence[Passphrase], salt: bytes, key_id: bytes
    ) -> MasterKey | None:
        for passphrase in passphrases:
            cache_key = passphrase, salt
            key = self._keys.get(cache_key) or self._unmatched.get(cache_key)
            if key is not None and key.key_id == key_id:
                return self._store(passphrase, salt, key)
        return None

    def _derive(
        self,
        passphrases: Sequence[Passphrase],
        salt: bytes,
        key_id: bytes,
        limiter: DerivationLimiter,
    ) -> MasterKey | None:
        started, unmatched = self._clock(), []
        for passphrase in passphrases:
            try:
                key = passphrase.derive(salt)
            except EncryptionError as error:
                raise DecryptionError(str(error)) from None
            if key.key_id == key_id:
                return self._store(passphrase, salt, key)
            unmatched.append((passphrase, key))
        for passphrase, key in unmatched:
            self._unmatched.put((passphrase, salt), key)
        limiter.record_failure(self._clock() - started)
        return None

    def _store(self, passphrase: Passphrase, salt: bytes, key: MasterKey) -> MasterKey:
        self._keys.put((passphrase, salt), key)
        if passphrase not in self._sealing_keys:
            self._sealing_keys.put(passphrase, key)
        return key
