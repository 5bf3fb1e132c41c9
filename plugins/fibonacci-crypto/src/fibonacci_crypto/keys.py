"""What users write as keys, and the keys that it means."""

import warnings
from collections.abc import Iterable
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.raw_key import decoded
from fibonacci_crypto.secret import Secret
from fibonacci_crypto.sources import named_source

SHORTEST: Final = 16
"""Characters that a passphrase has at least."""

_MAKE_ONE: Final = "Make a key: python -c 'import fibonacci; print(fibonacci.generate_key())'"


def read_keys(texts: Iterable[str]) -> list[MasterKey | Passphrase]:
    """Return the keys. Raises ConfigurationError, without a key in it.

    Warns where the first, which seals, is a passphrase.
    """
    written = [Secret(text) for text in texts]
    del texts  # or an error's traceback could show them
    keys = [_read(one, f"encryption key {number}") for number, one in enumerate(written, 1)]
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


def _read(written: Secret[str], name: str) -> MasterKey | Passphrase:
    source = named_source(written)
    if source is not None:
        written = source.line()
        name = f"{name}, from {source.name},"
    if len(set(written.value)) < 2:
        raise ConfigurationError(f"{name} is empty, or one character repeated. {_MAKE_ONE}")
    key = Secret(decoded(written.value))
    return _checked_passphrase(written, name) if key.value is None else _checked_key(key, name)


def _checked_key(key: Secret[bytes | None], name: str) -> MasterKey:
    assert key.value is not None
    if len(set(key.value)) < 2:
        raise ConfigurationError(
            f"{name} is one byte repeated, which anybody can guess. {_MAKE_ONE}"
        )
    return MasterKey(key.value)


def _checked_passphrase(written: Secret[str], name: str) -> Passphrase:
    if len(written.value) < SHORTEST:
        raise ConfigurationError(
            f"{name} is neither 32 bytes in base64 or hex, nor a passphrase of at least {SHORTEST} "
            f"characters. {_MAKE_ONE}"
        )
    if any("\ud800" <= character <= "\udfff" for character in written.value):
        raise ConfigurationError(f"{name} is not Unicode text: it holds half of a surrogate pair")
    return Passphrase(written.value)
