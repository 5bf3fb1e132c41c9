"""What an encryption plugin provides: a cipher that seals one value for one address."""

from abc import ABC, abstractmethod

import attrs


@attrs.frozen(kw_only=True)
class CipherSettings:
    """What core hands to ``fibonacci_encryption``."""

    name: str
    """The cipher asked for, as in ``MemoryConfig(encryption=...)``."""
    keys: tuple[str, ...] = attrs.field(repr=False)
    """The keys as the user wrote them, at least one: the first seals, all may open."""


class Cipher(ABC):
    """Seals and opens values. One object serves all threads and event loops."""

    @abstractmethod
    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Return the value encrypted, authenticated, and bound to ``aad``.

        The first byte must be 0x80 or above: no JSON text starts so, and it is how core tells
        sealed records from plain ones. Raises EncryptionError.
        """

    @abstractmethod
    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the plain value.

        Raises DecryptionError where the key is unknown, or where one bit of the bytes or of
        ``aad`` is not what it was: a moved, cut or changed record never opens.
        """

    def is_current(self, sealed: bytes) -> bool:
        """Say whether this is sealed with the first key, as ``seal`` would do it today.

        ``memory.rewrap()`` leaves such a record as it is, and seals all others anew. It is a look
        at the record's head, and no check: the record may have been tampered with, which ``open``
        will tell. The default says no, which is right for every cipher, and slower.
        """
        return False
