"""Ciphers as after a restart, a fake clock, and a fast Argon2."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fibonacci_crypto import AesGcmCipher, keys
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.key_sources import read_keys

RAW = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Clock:
    """A clock that the tests advance."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


SECONDS = 0.2


class QuickArgon2id:
    """OpenSSL's Argon2id with little memory, which records its salts.

    By the fake clock it takes as long as with full memory.
    """

    salts: list[bytes]
    clock: Clock

    def __init__(self, *, salt: bytes, **settings: Any) -> None:
        self.salts.append(salt)
        self.argon2 = Argon2id(salt=salt, **{**settings, "memory_cost": 32, "iterations": 1})

    def derive(self, text: bytes) -> bytes:
        self.clock.now += SECONDS
        return self.argon2.derive(text)


@pytest.fixture
def clock() -> Clock:
    """The fake clock of the ciphers."""
    return Clock()


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[bytes]:
    """The salts passed to a fast Argon2id."""
    salts: list[bytes] = []
    monkeypatch.setattr(QuickArgon2id, "salts", salts, raising=False)
    monkeypatch.setattr(QuickArgon2id, "clock", clock, raising=False)
    monkeypatch.setattr(keys, "Argon2id", QuickArgon2id)
    return salts


@pytest.fixture
def restart(clock: Clock) -> Callable[..., AesGcmCipher]:
    """Creates ciphers that share no state, as after a restart of the process."""

    def cipher(*keys: str, **settings: Any) -> AesGcmCipher:
        return AesGcmCipher(read_keys(keys or (RAW,)), Derivations(clock, clock.sleep), **settings)

    return cipher
