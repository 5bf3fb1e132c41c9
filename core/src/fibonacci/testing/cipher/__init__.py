"""The contract of ciphers."""

from fibonacci.testing.cipher.keys import KeyTests
from fibonacci.testing.cipher.sealing import BindingTests, SealingTests
from fibonacci.testing.cipher.secrecy import SecrecyTests
from fibonacci.testing.cipher.sharing import SharingTests

__all__ = ["CipherContract"]


class CipherContract(
    SealingTests,
    BindingTests,
    KeyTests,
    SharingTests,
    SecrecyTests,
):
    """The suite for encryption plugins: subclass it and set ``cipher``."""
