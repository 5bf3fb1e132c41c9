"""Between values and the store: values become bytes, sealed where that is asked for."""

from functools import lru_cache
from typing import Any, Final

from fibonacci._memory import codec
from fibonacci._memory.plaintext_reads import PlaintextReads
from fibonacci.errors import DecryptionError, EncryptionError, FibonacciError
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.address import Address, encode_parts
from fibonacci.plugin.encryption import Cipher


# A workflow uses the same few addresses again and again; writing one out takes 1.2 µs.
@lru_cache(maxsize=4096)
def _bytes_of(address: Address) -> bytes:
    """What a sealed record is bound to."""
    return encode_parts(*address.space, address.key)


class PlainEnvelope:
    """Records as JSON, for all who can read the store."""

    plaintext_read_count: Final = 0

    pack = staticmethod(codec.encode)
    unpack = staticmethod(codec.decode)


class SealedEnvelope:
    """Records sealed for their own address, so that a moved or changed one does not open."""

    def __init__(self, cipher: Cipher, *, seals: bool, mixed: bool) -> None:
        """Seal what is written if ``seals``; read plain records too if ``mixed``."""
        self._cipher = cipher
        self._seals = seals
        self._mixed = mixed
        self._plaintext_reads = PlaintextReads()

    @property
    def plaintext_read_count(self) -> int:
        """How often a record was read that was plain and should have been sealed."""
        return self._plaintext_reads.total

    def pack(self, value: Any, address: Address) -> bytes:
        """Return the record's bytes; SerializationError, ValueTooLargeError or EncryptionError."""
        plain = codec.encode(value, address)
        return self._seal(plain, address) if self._seals else plain

    def unpack(self, data: bytes, address: Address) -> Any:
        """Return the record's value; CorruptRecordError or DecryptionError."""
        return codec.decode(self._open(data, address), address)

    def rewrap(self, data: bytes, address: Address) -> bytes | None:
        """Return the record as it would be written today; None where it is so already.

        Raises what ``unpack`` and ``pack`` raise.
        """
        may_stay = codec.is_sealed(data) and self._seals
        if may_stay and self._is_current(data, address):
            return None
        plain = self._open(data, address)
        codec.decode(plain, address)  # what is corrupt is told, not sealed
        # Again: the first record that is opened may have told the cipher the salt to seal with.
        if may_stay and self._is_current(data, address):
            return None
        renewed = self._seal(plain, address) if self._seals else plain
        return None if renewed == data else renewed

    def _seal(self, plain: bytes, address: Address) -> bytes:
        try:
            sealed = self._cipher.seal(plain, _bytes_of(address))
            looks_sealed = codec.is_sealed(sealed)
        except FibonacciError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a cipher raises
            raise_for_signal(fault)
            failed = type(fault).__name__
        else:
            if looks_sealed:
                return sealed
            raise EncryptionError(
                "the encryption plugin returned bytes that look like plain text; nothing was "
                "written. Its sealed records must start with a byte of 0x80 or above"
            )
        # Its own text stays out: it may quote the value, or the key.
        raise EncryptionError(f"the encryption plugin failed to seal {address}: {failed}")

    def _open(self, data: bytes, address: Address) -> bytes:
        if not codec.is_sealed(data):
            return self._plain(data, address)
        try:
            plain = self._cipher.open(data, _bytes_of(address))
            looks_sealed = codec.is_sealed(plain)
        except DecryptionError as fault:
            raise DecryptionError(f"{address} does not open: {fault}") from fault
        except FibonacciError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a cipher raises
            raise_for_signal(fault)
            failed = type(fault).__name__
        else:
            if not looks_sealed:
                return plain
            raise DecryptionError(
                f"what was sealed in the record {address} is no value: it looks sealed again"
            )
        raise DecryptionError(f"the encryption plugin failed to open {address}: {failed}")

    def _plain(self, data: bytes, address: Address) -> bytes:
        if not self._mixed:
            raise DecryptionError(
                f"the record {address} is plain, where all are sealed: somebody wrote it "
                f'without the key. While a store is being converted, plaintext_reads="allow" '
                f"reads it"
            )
        if self._seals:
            self._plaintext_reads.count()
        return data

    def _is_current(self, data: bytes, address: Address) -> bool:
        try:
            return self._cipher.is_current(data)
        except FibonacciError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a cipher raises
            raise_for_signal(fault)
            failed = type(fault).__name__
        raise DecryptionError(f"the encryption plugin failed to look at {address}: {failed}")


Envelope = PlainEnvelope | SealedEnvelope
