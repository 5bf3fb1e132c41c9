"""The contract of ciphers, clause by clause."""

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
    """All that an encryption plugin has to keep; subclass it and say which ``cipher``."""
