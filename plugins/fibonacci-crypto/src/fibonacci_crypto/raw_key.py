"""The 32 bytes of a key, as users write them."""

import re
from base64 import urlsafe_b64decode
from binascii import unhexlify
from typing import Final

# 43 characters have 258 bits: the last one may not use its lowest two, or a key had four spellings.
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9_-]{42}|[A-Za-z0-9+/]{42})[AEIMQUYcgkosw048]=?")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")


def decoded(text: str) -> bytes | None:
    """Return the bytes, from URL-safe or standard base64 or from hex; None if it is neither."""
    if _HEX.fullmatch(text):
        return unhexlify(text)
    if _BASE64.fullmatch(text):
        return urlsafe_b64decode(text[:43].replace("+", "-").replace("/", "_") + "=")
    return None
