"""What a test of a cipher works with, and the keys it uses."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import ClassVar, Final

import pytest

from fibonacci._discovery import find_plugin
from fibonacci.plugin import Cipher, CipherSettings, encode_parts

AAD: Final = encode_parts("fibonacci:", "user", "ann", "history")
"""What core binds a record to: the bytes of its address."""

PLAIN: Final = b'{"ssn":"123-45-6789"}'


class ContractFixtures:
    """What a contract's class may set, and the tools of its tests."""

    cipher: str
    """The cipher's name, as users write it."""
    keys: ClassVar[Sequence[str]] = [
        urlsafe_b64encode(sha256(bytes([number])).digest()).decode() for number in range(3)
    ]
    """Three keys, as users write them: by default, 32 random bytes each in URL-safe base64."""
    invalid_keys: ClassVar[Sequence[str]] = ("hunter2",)
    """Texts that are invalid keys."""
    fork_timeout: ClassVar[float] = 15.0
    """Seconds that a forked child may take."""

    fibonacci_contract: ClassVar[str] = "CipherContract"

    @classmethod
    def cipher_of(cls, *keys: str) -> Cipher:
        """Return a new cipher with these keys, as core creates one for each workflow."""
        settings = CipherSettings(name=cls.cipher, keys=keys)
        cipher: Cipher = find_plugin("encryption", cls.cipher).call_hook(settings, Cipher)
        return cipher

    @pytest.fixture
    def box(self) -> Cipher:
        """A cipher with the first key only."""
        return self.cipher_of(self.keys[0])
