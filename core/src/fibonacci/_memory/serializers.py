"""Serializers: from values to the records of a store and back, with or without encryption."""

from collections import Counter
from functools import lru_cache
from threading import get_ident
from typing import Any, Final

from fibonacci._memory import codec
from fibonacci.errors import DecryptionError, EncryptionError, FibonacciError
from fibonacci.plugin._runtime.logs import get_logger
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.address import Address, encode_parts
from fibonacci.plugin.encryption import Cipher


# A workflow uses the same few addresses again and again; to encode one takes 1.2 µs.
@lru_cache(maxsize=4096)
def _associated_data(address: Address) -> bytes:
    """The bytes of the address that a sealed record is bound to."""
    return encode_parts(*address.space, address.key)


class PlainSerializer:
    """Records as JSON, readable by everyone who can read the store."""

    plaintext_read_count: Final = 0

    serialize = staticmethod(codec.encode)
    deserialize = staticmethod(codec.decode)


class EncryptedSerializer:
    """Records sealed for their address, so that a moved or changed record does not open."""

    def __init__(self, cipher: Cipher, *, encrypts: bool, accepts_plaintext: bool) -> None:
        """Seal new records if ``encrypts``; read plain records too if ``accepts_plaintext``."""
        self._cipher = cipher
        self._encrypts = encrypts
        self._accepts_plaintext = accepts_plaintext
        self._plaintext_reads = PlaintextReadCounter()

    @property
    def plaintext_read_count(self) -> int:
        """How many plain records were read that should have been sealed."""
        return self._plaintext_reads.total

    def serialize(self, value: Any, address: Address) -> bytes:
        """Return the record's bytes; SerializationError, ValueTooLargeError or EncryptionError."""
        plain = codec.encode(value, address)
        return self._seal(plain, address) if self._encrypts else plain

    def deserialize(self, data: bytes, address: Address) -> Any:
        """Return the record's value; CorruptRecordError or DecryptionError."""
        return codec.decode(self._open(data, address), address)

    def rewrap(self, data: bytes, address: Address) -> bytes | None:
        """Return the record as it would be written now; None if it is that already.

        Raises what ``deserialize`` and ``serialize`` raise.
        """
        may_stay = codec.is_sealed(data) and self._encrypts
        if may_stay and self._is_current(data, address):
            return None
        plain = self._open(data, address)
        codec.decode(plain, address)  # a corrupt record raises, and is not sealed
        # Again: from the first record that it opens, the cipher may have learned its salt.
        if may_stay and self._is_current(data, address):
            return None
        renewed = self._seal(plain, address) if self._encrypts else plain
        return None if renewed == data else renewed

    def _seal(self, plain: bytes, address: Address) -> bytes:
        try:
            sealed = self._cipher.seal(plain, _associated_data(address))
            looks_sealed = codec.is_sealed(sealed)
        except FibonacciError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a cipher raises
            raise_for_signal(error)
            reason = type(error).__name__
        else:
            if looks_sealed:
                return sealed
            raise EncryptionError(
                "the encryption plugin returned bytes that look like plain text; nothing was "
                "written. Its sealed records must start with a byte of 0x80 or above"
            )
        # The plugin's own message is left out: it may quote the value, or the key.
        raise EncryptionError(f"the encryption plugin failed to seal {address}: {reason}")

    def _open(self, data: bytes, address: Address) -> bytes:
        if not codec.is_sealed(data):
            return self._plain(data, address)
        try:
            plain = self._cipher.open(data, _associated_data(address))
            looks_sealed = codec.is_sealed(plain)
        except DecryptionError as error:
            codec.log_refused_record(address, "it does not open")
            raise DecryptionError(f"{address} does not open: {error}") from error
        except FibonacciError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a cipher raises
            raise_for_signal(error)
            reason = type(error).__name__
        else:
            if not looks_sealed:
                return plain
            codec.log_refused_record(address, "it decrypts to another sealed record")
            raise DecryptionError(
                f"the record {address} decrypts to another sealed record instead of a value"
            )
        codec.log_refused_record(address, f"the encryption plugin failed to open it: {reason}")
        raise DecryptionError(f"the encryption plugin failed to open {address}: {reason}")

    def _plain(self, data: bytes, address: Address) -> bytes:
        if not self._accepts_plaintext:
            codec.log_refused_record(address, "it is not sealed")
            raise DecryptionError(
                f"the record {address} is not sealed, and this memory reads only sealed records: "
                f"it was written without the key. While a store is being converted, "
                f'plaintext_reads="allow" reads it'
            )
        if self._encrypts:
            self._plaintext_reads.increment()
        return data

    def _is_current(self, data: bytes, address: Address) -> bool:
        try:
            return self._cipher.is_current(data)
        except FibonacciError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a cipher raises
            raise_for_signal(error)
            reason = type(error).__name__
        raise DecryptionError(f"the encryption plugin failed to inspect {address}: {reason}")


class PlaintextReadCounter:
    """A count that many threads increase. A lock would have to survive forks; this needs none."""

    def __init__(self) -> None:
        """Start at zero."""
        self._by_thread: Counter[int] = Counter()
        self._first = iter([True])

    @property
    def total(self) -> int:
        """The counts of all threads together."""
        return sum(list(self._by_thread.values()))

    def increment(self) -> None:
        """Add one; log a warning the first time. The log has no key, user or value in it."""
        self._by_thread[get_ident()] += 1
        if next(self._first, False):
            get_logger("memory").warning(
                "a plain record was read where all should be sealed, as plaintext_reads is "
                '"allow"; further ones are counted, not logged: see '
                "memory.plaintext_read_count. memory.rewrap() seals them"
            )


RecordSerializer = PlainSerializer | EncryptedSerializer
