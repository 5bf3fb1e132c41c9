"""What users write as keys, and the keys that it means."""

import warnings
from collections.abc import Sequence
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.raw_key import decoded
from fibonacci_crypto.sources import named_source, read_source

SHORTEST: Final = 16
"""Characters that a passphrase has at least."""

_MAKE_ONE: Final = "Make a key: python -c 'import fibonacci; print(fibonacci.generate_key())'"


def read_keys(texts: Sequence[str]) -> list[MasterKey | Passphrase]:
    """Return the keys. Raises ConfigurationError, without a key in it.

    Warns where the first, which seals, is a passphrase.
    """
    keys = [_read(text, f"encryption key {number}") for number, text in enumerate(texts, 1)]
    if isinstance(keys[0], Passphrase):
        _warn()
    return keys


def _warn() -> None:
    try:
        warnings.warn(
            f"the encryption key is no key of 32 bytes, and serves as a passphrase: Argon2id makes "
            f"it slow to guess, but not strong. {_MAKE_ONE}",
            UserWarning,
            stacklevel=3,
        )
    except UserWarning as fault:  # python -W error
        raise ConfigurationError(str(fault)) from None


def _read(text: str, name: str) -> MasterKey | Passphrase:
    source = named_source(text)
    if source is not None:
        name = f"{name}, from {source.name},"
        text = read_source(source)
    if len(set(text)) < 2:
        raise ConfigurationError(f"{name} is empty, or one character repeated. {_MAKE_ONE}")
    key = decoded(text)
    if key is not None:
        return _checked_key(key, name)
    return _checked_passphrase(text, name)


def _checked_key(key: bytes, name: str) -> MasterKey:
    if len(set(key)) < 2:
        raise ConfigurationError(
            f"{name} is one byte repeated, which anybody can guess. {_MAKE_ONE}"
        )
    return MasterKey(key)


def _checked_passphrase(text: str, name: str) -> Passphrase:
    if len(text) < SHORTEST:
        raise ConfigurationError(
            f"{name} is neither 32 bytes in base64 or hex, nor a passphrase of at least {SHORTEST} "
            f"characters. {_MAKE_ONE}"
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigurationError(f"{name} is not Unicode text: it holds half of a surrogate pair")
    return Passphrase(text)
