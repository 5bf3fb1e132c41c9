"""Secrecy: neither a key nor a value is shown."""

import logging
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator

import pytest

from fibonacci.errors import ConfigurationError, DecryptionError, EncryptionError
from fibonacci.plugin import Cipher
from fibonacci.testing.cipher.fixtures import AAD, PLAIN, ContractFixtures
from fibonacci.testing.tracebacks import traceback_text


class SecrecyTests(ContractFixtures):
    """C23."""

    def test_no_key_in_repr(self) -> None:
        """Neither repr nor str of a cipher shows a key (C23)."""
        box = self.cipher_of(*self.keys)
        box.open(box.seal(PLAIN, AAD), AAD)
        self.check(f"{box!r} {box}")

    def test_no_secret_in_errors(self) -> None:
        """No error shows a key or a value, nor does its cause (C23)."""
        box, other = self.cipher_of(*self.keys[:2]), self.cipher_of(self.keys[2])
        sealed = box.seal(PLAIN, AAD)
        foreign = other.seal(PLAIN, AAD)
        for bad, aad in (
            (sealed[:-1], AAD),
            (sealed, b"elsewhere"),
            (foreign, AAD),
            (PLAIN, AAD),
            (b"", AAD),
        ):
            with pytest.raises(DecryptionError) as caught:
                box.open(bad, aad)
            self.check(traceback_text(caught.value))

    def test_no_secret_in_logs(self, box: Cipher, caplog: pytest.LogCaptureFixture) -> None:
        """No key or value is logged, not even at DEBUG (C23)."""
        caplog.set_level(logging.DEBUG)
        sealed = box.seal(PLAIN, AAD)
        box.open(sealed, AAD)
        box.is_current(sealed)
        with pytest.raises(DecryptionError):
            box.open(sealed[:-1], AAD)
        self.check(caplog.text)

    def test_invalid_key(self) -> None:
        """An invalid key is refused when the cipher is created, and not shown (C23)."""
        for invalid_key in self.invalid_keys:
            for keys in ([invalid_key], [self.keys[0], invalid_key]):
                with pytest.raises((ConfigurationError, EncryptionError)) as caught:
                    self.cipher_of(*keys)
                assert invalid_key not in traceback_text(caught.value)

    def check(self, text: str) -> None:
        """Look for the keys and the value, in the forms in which one might print them."""
        for key in self.keys:
            secrets = {key, *forms(key.encode()), *decoded(key)}
            assert not [secret for secret in secrets if secret in text]
        assert not [secret for secret in forms(PLAIN) if secret in text]


def forms(secret: bytes) -> Iterator[str]:
    """Return bytes as text in the usual ways."""
    yield secret.decode("latin-1")
    yield repr(secret)[2:-1]
    yield secret.hex()
    yield b64encode(secret).decode().rstrip("=")
    yield urlsafe_b64encode(secret).decode().rstrip("=")


def decoded(key: str) -> Iterator[str]:
    """Return what base64 stands for, in the same ways."""
    try:
        yield from forms(urlsafe_b64decode(key))
    except ValueError:
        return
