"""The plugin on a system without os.fork."""

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


def test_cipher_works_without_fork() -> None:
    """A key and a passphrase seal and open on a system without os.fork."""
    assert run_without_forks(PROGRAM) == "b'value'\n" * 2
