"""The contract of ciphers, clause by clause."""

from fibonacci.testing.cipher.binding import Binding
from fibonacci.testing.cipher.keys import Keys
from fibonacci.testing.cipher.sealing import Sealing
from fibonacci.testing.cipher.secrecy import Secrecy
from fibonacci.testing.cipher.sharing import Sharing

__all__ = ["CipherContract"]


class CipherContract(
    Sealing,
    Binding,
    Keys,
    Sharing,
    Secrecy,
):
    """All that an encryption plugin has to keep; subclass it and say which ``cipher``."""
