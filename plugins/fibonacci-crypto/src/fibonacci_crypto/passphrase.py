"""A passphrase, and the key that it gives with a salt."""

import attrs
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fibonacci.errors import EncryptionError
from fibonacci.plugin.runtime import raise_for_signal
from fibonacci_crypto.master import KEY_SIZE, MasterKey


@attrs.frozen
class Passphrase:
    """A passphrase, which no repr shows."""

    text: str = attrs.field(repr=False)

    def derive(self, salt: bytes) -> MasterKey:
        """Return the key (Argon2id, RFC 9106, its second recommended setting); EncryptionError."""
        try:
            argon2 = Argon2id(
                salt=salt, length=KEY_SIZE, iterations=3, lanes=4, memory_cost=64 * 1024
            )
            return MasterKey(argon2.derive(self.text.encode()), salt)
        except (MemoryError, UnsupportedAlgorithm, InternalError) as fault:
            raise_for_signal(fault)
            raise EncryptionError(
                f"no key can be derived from the passphrase here ({type(fault).__name__}): "
                f"Argon2id needs 64 MiB, and an OpenSSL that has it. A key of "
                f"fibonacci.generate_key() needs neither"
            ) from None
