"""The keys of one cipher: which of them seals, and which opens a record."""

from collections.abc import Sequence
from hmac import compare_digest

from fibonacci.errors import DecryptionError
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.layout import parse
from fibonacci_crypto.master import MasterKey
from fibonacci_crypto.passphrase import Passphrase
from fibonacci_crypto.session import Session


class KeyRing:
    """Keys and passphrases: the first seals, all open."""

    def __init__(self, keys: Sequence[MasterKey | Passphrase], derivations: Derivations) -> None:
        """Take the keys, at least one, and where passphrases become keys."""
        self._first = keys[0]
        self._keys = {key.key_id: key for key in keys if isinstance(key, MasterKey)}
        self._passphrases = [key for key in keys if isinstance(key, Passphrase)]
        self._derivations = derivations

    def __str__(self) -> str:
        """Name the keys by their ids."""
        names = [f"the key {key_id.hex()}" for key_id in self._keys]
        count = len(self._passphrases)
        if count:
            names.append("a passphrase" if count == 1 else f"{count} passphrases")
        return ", ".join(names)

    def sealing_key(self) -> MasterKey:
        """Return the key to seal with; EncryptionError where none can be derived."""
        key = self._first
        return self._derivations.sealing_key(key) if isinstance(key, Passphrase) else key

    def known_sealing_key(self) -> MasterKey | None:
        """Return the same, or None where it would have to be derived first."""
        key = self._first
        return self._derivations.known_sealing_key(key) if isinstance(key, Passphrase) else key

    def session(self, header: bytes) -> Session:
        """Return the session of a record's header, which only a key's owner can have made.

        Raises DecryptionError.
        """
        key_id, kdf_salt, session_salt = parse(header)
        if kdf_salt is None:
            key = self._keys.get(key_id)
        else:
            key = self._derivations.opening_key(self._passphrases, kdf_salt, key_id)
        if key is None:
            kind = "the key" if kdf_salt is None else "a passphrase, as the key"
            raise DecryptionError(
                f"the record was sealed with {kind} {key_id.hex()}, and this memory has {self}. "
                f"Add what sealed it to the end of the list encryption_key=[...]"
            )
        session = key.session(session_salt)
        if not compare_digest(session.header, header):
            raise DecryptionError(
                f"the header of the record was changed since it was sealed with the key "
                f"{key_id.hex()}: restore the record, or set it anew"
            )
        return session
