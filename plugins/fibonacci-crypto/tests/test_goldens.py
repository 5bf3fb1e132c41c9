"""The record format, implemented a second time from its documentation.

``goldens/v1.json`` is permanent: each of its records must open with every release.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fibonacci.plugin import encode_parts
from fibonacci_crypto import AesGcmCipher

Restart = Callable[..., AesGcmCipher]

GOLDENS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "goldens" / "v1.json").read_text()
)

pytestmark = pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")


def hkdf_sha512(key: bytes, salt: bytes, info: bytes) -> bytes:
    """Return one block of RFC 5869."""
    extracted = hmac.digest(salt, key, hashlib.sha512)
    return hmac.digest(extracted, info + b"\x01", hashlib.sha512)


def argon2id(passphrase: bytes, salt: bytes) -> bytes:
    """RFC 9106, section 4, the second recommended option."""
    argon2 = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=65_536)
    return argon2.derive(passphrase)


def record_by_format(
    key: bytes, kdf_salt: bytes | None, session_salt: bytes, nonce: bytes, plain: bytes, aad: bytes
) -> bytes:
    """Return the record, by the table in the README only."""
    key_id = hmac.digest(key, b"fibonacci/mem/key-id/v1", hashlib.sha256)[:8]
    if kdf_salt is None:
        head = bytes.fromhex("f1464d010100") + key_id
    else:
        head = bytes.fromhex("f1464d011100") + key_id + b"\x01" + kdf_salt
    derived = hkdf_sha512(key, session_salt, b"fibonacci/mem/v1\x00" + head)
    header = head + session_salt + derived[32:]
    encryptor = Cipher(algorithms.AES(derived[:32]), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(header + aad)
    text = encryptor.update(plain) + encryptor.finalize()
    return header + nonce + text + encryptor.tag


def unhex(golden: dict[str, Any], *names: str) -> list[Any]:
    return [None if golden[name] is None else bytes.fromhex(golden[name]) for name in names]


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden["name"])
def test_golden_record_opens(restart: Restart, golden: dict[str, Any]):
    """A golden record opens, and equals the record computed from the documented format."""
    record, plain, key = unhex(golden, "record", "plain", "key")
    kdf_salt, session_salt, nonce = unhex(golden, "kdf_salt", "session_salt", "nonce")
    aad = encode_parts(*golden["address"])
    assert restart(golden["written"]).open(record, aad) == plain
    assert record_by_format(key, kdf_salt, session_salt, nonce, plain, aad) == record


def test_key_of_the_golden_passphrase():
    """Argon2id derives the key in the golden file."""
    (golden,) = [golden for golden in GOLDENS if golden["name"] == "passphrase"]
    salt, key = unhex(golden, "kdf_salt", "key")
    assert argon2id(golden["written"].encode(), salt) == key


def test_header_matches_the_first_design(restart: Restart):
    """Key id and commitment equal those computed before this implementation."""
    (golden,) = [golden for golden in GOLDENS if golden["name"] == "key in base64"]
    assert golden["record"][:156] == (
        "f1464d010100d1b7464286aa8d76202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e"
        "3f87376f3b443069e87548b291f373f362de32785f0dcb4a86359a203389f7ffb8"
    )


@pytest.mark.parametrize("size", [0, 1, 16, 1_000])
def test_sealed_record_matches_the_format(restart: Restart, size: int):
    """A record sealed with a key equals the one computed from the documented format."""
    plain, aad = b"\xa5" * size, encode_parts("p:", "global", "", "k")
    sealed = restart().seal(plain, aad)
    salt, nonce = sealed[14:46], sealed[78:90]
    assert record_by_format(bytes(range(32)), None, salt, nonce, plain, aad) == sealed


def test_record_of_a_passphrase_matches_the_format(restart: Restart):
    """A record sealed with a passphrase equals the one computed from the format."""
    aad = encode_parts("p:", "global", "", "k")
    sealed = restart("your-32-byte-key-here...").seal(b'"value"', aad)
    kdf_salt, salt, nonce = sealed[15:31], sealed[31:63], sealed[95:107]
    key = argon2id(b"your-32-byte-key-here...", kdf_salt)
    assert record_by_format(key, kdf_salt, salt, nonce, b'"value"', aad) == sealed
