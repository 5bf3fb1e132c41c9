"""A key for encryption, made here so that whoever needs one need not install what uses it."""

import os


def generate_key() -> str:
    """Return a new encryption key: 32 random bytes as 44 characters of URL-safe base64.

    For ``MemoryConfig(encrypt_values=True, encryption_key=...)``. Keep it where secrets are kept:
    without it, nothing that it sealed can be read again.
    """
    from base64 import urlsafe_b64encode  # a millisecond that only this function needs

    return urlsafe_b64encode(os.urandom(32)).decode()
