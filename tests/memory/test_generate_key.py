"""generate_key: a new encryption key, created without any plugin."""

import base64
import re

from fibonacci import generate_key


def test_key_is_32_random_bytes():
    """generate_key() returns 44 characters of URL-safe base64, different ones each time."""
    keys = {generate_key() for _ in range(1_000)}
    assert len(keys) == 1_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}=", key) for key in keys)
    assert {len(base64.urlsafe_b64decode(key)) for key in keys} == {32}
    assert len({byte for key in keys for byte in base64.urlsafe_b64decode(key)}) == 256
