"""What an encryption plugin provides: a cipher that seals one value for one address."""

from abc import ABC, abstractmethod

import attrs


@attrs.frozen(kw_only=True)
class CipherSettings:
    """What core passes to ``fibonacci_encryption``."""

    name: str
    """The name of the cipher, as in ``MemoryConfig(encryption=...)``."""
    keys: tuple[str, ...] = attrs.field(repr=False)
    """The keys as the user wrote them, at least one: the first seals, all may open."""


class Cipher(ABC):
    """Seals and opens values. One object serves all threads and event loops."""

    @abstractmethod
    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Return the value encrypted, authenticated, and bound to ``aad``.

        The first byte must be 0x80 or higher, as no JSON text starts with such a byte: core
        recognizes sealed records by it. Raises EncryptionError.
        """

    @abstractmethod
    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the plain value.

        Raises DecryptionError if the key is unknown, or if one bit of the bytes or of ``aad`` was
        changed: a moved, truncated or changed record never opens.
        """

    def is_current(self, sealed: bytes) -> bool:
        """Return whether this is sealed with the first key, in the current format.

        ``memory.rewrap()`` skips such a record, and seals all others again. Only the record's
        header is read; ``open`` finds out whether the record was tampered with. The default is
        False, which is correct for every cipher, but slower.
        """
        return False
