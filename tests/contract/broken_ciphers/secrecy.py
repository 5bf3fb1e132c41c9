"""Ciphers that leak a secret."""

import logging
from hashlib import sha256

from broken_ciphers.entry import Sound, broken
from fibonacci.errors import ConfigurationError, DecryptionError


@broken("test_no_key_in_repr")
class ShowsItsKeys(Sound):
    """The repr contains the keys."""

    def __init__(self, keys):
        super().__init__(keys)
        self.raw = [self.read(key) for key in keys]

    def __repr__(self):
        return f"<Cipher {self.raw}>"


@broken("test_no_secret_in_errors")
class QuotesTheKey(Sound):
    """An error quotes the key."""

    def __init__(self, keys):
        super().__init__(keys)
        self.hex = self.read(keys[0]).hex()

    def open(self, sealed, aad):
        try:
            return super().open(sealed, aad)
        except DecryptionError:
            raise DecryptionError(f"the record does not open with {self.hex}") from None


@broken("test_no_secret_in_errors")
class QuotesTheKeyBesideACause(Sound):
    """An error has a cause without secrets, and a context that quotes the key."""

    def __init__(self, keys):
        super().__init__(keys)
        self.hex = self.read(keys[0]).hex()

    def open(self, sealed, aad):
        try:
            return super().open(sealed, aad)
        except DecryptionError as cause:
            try:
                raise ValueError(self.hex)
            except ValueError:
                raise DecryptionError("the record does not open") from cause


@broken("test_no_secret_in_logs")
class LogsValues(Sound):
    """A debug log contains the value."""

    def seal(self, plain, aad):
        logging.getLogger("cipher").debug("sealing %r", plain)
        return super().seal(plain, aad)


@broken("test_invalid_key")
class TakesAnyKey(Sound):
    """Any word is accepted as a key."""

    def read(self, key):
        return sha256(key.encode()).digest()


@broken("test_invalid_key")
class QuotesWhatIsNoKey(Sound):
    """The error quotes the invalid key."""

    def read(self, key):
        try:
            return super().read(key)
        except ConfigurationError:
            raise ConfigurationError(f"{key!r} is no key") from None
