"""AES-256-GCM as the encryption of Fibonacci's memory: ``MemoryConfig(encrypt_values=True)``."""

from typing import Final

from fibonacci.plugin import CipherSettings, hookimpl
from fibonacci_crypto.cipher import AesGcmCipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.key_sources import read_keys

__all__ = ["AesGcmCipher"]

FIBONACCI_SPEC_VERSION: Final = 1

_DERIVATIONS: Final = Derivations()
"""This process's keys derived from passphrases: each costs 0.2 s once, not once per workflow."""


@hookimpl
def fibonacci_encryption(settings: CipherSettings) -> AesGcmCipher:
    """Return the cipher for these keys: each is a key, a passphrase, ``env:NAME`` or ``file:PATH``.

    Raises ConfigurationError. Warns (UserWarning) if the sealing key is a passphrase.
    """
    return AesGcmCipher(read_keys(settings.keys), _DERIVATIONS)
