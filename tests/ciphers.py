"""A cipher that stands for a third party's, and any cipher as a plugin.

It is a stream of hashes under a MAC: enough to test every duty of a cipher, and not secure.
"""

import hmac
import secrets
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any

from fibonacci.errors import DecryptionError
from fibonacci.plugin import Cipher, CipherSettings, encode_parts, hookimpl


class ToyCipher(Cipher):
    """0x80, four bytes that name the key, a nonce, the encrypted text, a MAC."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = {blake2b(key.encode(), digest_size=4).digest(): key.encode() for key in keys}
        self.first = next(iter(self.keys))

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        nonce, key = secrets.token_bytes(12), self.keys[self.first]
        body = b"\x80" + self.first + nonce + self.hide(plain, nonce, key)
        return body + self.mac(body, aad, key)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        body, mac, key = sealed[:-32], sealed[-32:], self.keys.get(sealed[1:5])
        if key is None or not hmac.compare_digest(mac, self.mac(body, aad, key)):
            raise DecryptionError("the record does not open with any of the keys")
        return self.hide(body[17:], body[5:17], key)

    def is_current(self, sealed: bytes) -> bool:
        return sealed[1:5] == self.first

    def hide(self, text: bytes, nonce: bytes, key: bytes) -> bytes:
        blocks = range(len(text) // 64 + 1)
        stream = b"".join(blake2b(nonce + n.to_bytes(4, "big"), key=key).digest() for n in blocks)
        return bytes(a ^ b for a, b in zip(text, stream, strict=False))

    def mac(self, body: bytes, aad: bytes, key: bytes) -> bytes:
        return hmac.digest(
            key, encode_parts("mac") + len(aad).to_bytes(8, "big") + aad + body, "sha256"
        )


def plugin(make: Any) -> SimpleNamespace:
    @hookimpl
    def fibonacci_encryption(settings: CipherSettings) -> Cipher:
        return make(settings)

    return SimpleNamespace(FIBONACCI_SPEC_VERSION=1, fibonacci_encryption=fibonacci_encryption)
