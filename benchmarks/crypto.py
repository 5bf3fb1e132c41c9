"""``fibonacci-crypto`` against cryptography's own AES-GCM and Fernet: 1 KiB sealed and opened.

"aes-gcm" is the floor: one key, a random nonce, the address authenticated, and no more. Fernet is
what most Python programs take; it binds a text to no address. A session that was never seen before
is what the first record of another process costs. Run it with ``python benchmarks/crypto.py``.
"""

import os
import platform
import warnings
from collections.abc import Callable
from time import perf_counter

import cryptography
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from measure import seconds_per_call

from fibonacci import generate_key
from fibonacci.plugin import CipherSettings, encode_parts
from fibonacci_crypto import AesGcmCipher, fibonacci_encryption

VALUE = os.urandom(1024)
ADDRESS = encode_parts("fibonacci:", "user", "user-123", "preferences")
PASSPHRASE = "your-32-byte-key-here..."


def cipher(key: str) -> AesGcmCipher:
    """Return the cipher as a workflow gets it."""
    return fibonacci_encryption(CipherSettings(name="aes-256-gcm", keys=(key,)))


def contenders() -> dict[str, Callable[[], object]]:
    """Return what is compared."""
    key = generate_key()
    ours, aead, fernet = cipher(key), AESGCM(os.urandom(32)), Fernet(Fernet.generate_key())
    sealed, token = ours.seal(VALUE, ADDRESS), fernet.encrypt(VALUE)
    nonce = os.urandom(12)
    text = nonce + aead.encrypt(nonce, VALUE, ADDRESS)

    def floor_seal() -> bytes:
        drawn = os.urandom(12)
        return drawn + aead.encrypt(drawn, VALUE, ADDRESS)

    def open_new() -> bytes:
        ours._opening_session.cache_clear()
        return ours.open(sealed, ADDRESS)

    return {
        "aes-gcm seal": floor_seal,
        "aes-gcm open": lambda: aead.decrypt(text[:12], text[12:], ADDRESS),
        "ours seal": lambda: ours.seal(VALUE, ADDRESS),
        "ours open": lambda: ours.open(sealed, ADDRESS),
        "ours open, new session": open_new,
        "fernet seal": lambda: fernet.encrypt(VALUE),
        "fernet open": lambda: fernet.decrypt(token),
        "is_current": lambda: ours.is_current(sealed),
    }


def main() -> None:
    """Print microseconds and bytes."""
    warnings.simplefilter("ignore", UserWarning)  # the passphrase is meant
    print(f"Python {platform.python_version()}, cryptography {cryptography.__version__}")
    found = {name: seconds * 1e6 for name, seconds in seconds_per_call(contenders()).items()}
    for name, microseconds in found.items():
        print(f"{name:24}{microseconds:8.2f} µs")
    for name in ("aes-gcm", "ours", "fernet"):
        both = found[f"{name} seal"] + found[f"{name} open"]
        print(f"{name + ' seal + open':24}{both:8.2f} µs")
    start = perf_counter()
    phrase = cipher(PASSPHRASE).seal(VALUE, ADDRESS)
    print(f"{'first with a passphrase':24}{(perf_counter() - start) * 1e3:8.0f} ms")
    sizes = {
        "key": cipher(generate_key()).seal(VALUE, ADDRESS),
        "passphrase": phrase,
        "fernet": Fernet(Fernet.generate_key()).encrypt(VALUE),
    }
    for name, record in sizes.items():
        print(f"{'overhead, ' + name:24}{len(record) - len(VALUE):8} bytes")


if __name__ == "__main__":
    main()
