"""Between values and the store: values become bytes, sealed where that is asked for."""

from typing import Any

from fibonacci._memory import codec
from fibonacci.errors import DecryptionError, EncryptionError
from fibonacci.plugin.address import Address, canonical
from fibonacci.plugin.encryption import Cipher


class PlainEnvelope:
    """Records as JSON, for all who can read the store."""

    pack = staticmethod(codec.encode)
    unpack = staticmethod(codec.decode)


class SealedEnvelope:
    """Records sealed for their own address, so that a moved or changed one does not open."""

    def __init__(self, cipher: Cipher, *, seals: bool, mixed: bool) -> None:
        """Seal what is written if ``seals``; read plain records too if ``mixed``."""
        self._cipher = cipher
        self._seals = seals
        self._mixed = mixed

    def pack(self, value: Any, address: Address) -> bytes:
        """Return the record's bytes; SerializationError, ValueTooLargeError or EncryptionError."""
        plain = codec.encode(value, address)
        if not self._seals:
            return plain
        sealed = self._cipher.seal(plain, canonical(*address.space, address.key))
        if not codec.is_sealed(sealed):
            raise EncryptionError(
                "the encryption plugin returned bytes that look like plain text; nothing was "
                "written. Its sealed records must start with a byte of 0x80 or above"
            )
        return sealed

    def unpack(self, data: bytes, address: Address) -> Any:
        """Return the record's value; CorruptRecordError or DecryptionError."""
        if not codec.is_sealed(data):
            if not self._mixed:
                raise DecryptionError(
                    f"the record {address} is plain, where all are sealed: somebody wrote it "
                    f'without the key. While a store is being converted, plaintext_reads="allow" '
                    f"reads it"
                )
            return codec.decode(data, address)
        plain = self._cipher.open(data, canonical(*address.space, address.key))
        if codec.is_sealed(plain):
            raise DecryptionError(
                f"what was sealed in the record {address} is no value: it looks sealed again"
            )
        return codec.decode(plain, address)


Envelope = PlainEnvelope | SealedEnvelope
