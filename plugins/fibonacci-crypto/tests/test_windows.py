"""A system without forks has encryption as well."""

from windows import run_without_forks

PROGRAM = """
import warnings
from fibonacci.plugin import CipherSettings
from fibonacci_crypto import fibonacci_encryption

warnings.simplefilter("ignore")
for key in ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "correct horse battery staple"):
    cipher = fibonacci_encryption(CipherSettings(name="aes-256-gcm", keys=(key,)))
    print(cipher.open(cipher.seal(b"value", b"address"), b"address"))
"""


def test_records_are_sealed_and_opened() -> None:
    """With a key, and with a passphrase."""
    assert run_without_forks(PROGRAM) == "b'value'\n" * 2
