"""Keys: the first seals, all open, and a key that is not there opens nothing."""

import os

import pytest

from fibonacci.errors import DecryptionError
from fibonacci.testing.cipher.fixtures import AAD, PLAIN, ContractFixtures


class KeyTests(ContractFixtures):
    """C24: with more than one key, and while keys change."""

    def test_other_key(self) -> None:
        """A record does not open with another key (C24)."""
        sealed = self.cipher_of(self.keys[0]).seal(PLAIN, AAD)
        for keys in ([self.keys[1]], [self.keys[1], self.keys[2]]):
            with pytest.raises(DecryptionError):
                self.cipher_of(*keys).open(sealed, AAD)

    def test_all_keys_open(self) -> None:
        """Each key of a list opens its records, at any position in the list (C24)."""
        for key in self.keys:
            sealed = self.cipher_of(key).seal(PLAIN, AAD)
            assert self.cipher_of(*self.keys).open(sealed, AAD) == PLAIN
            assert self.cipher_of(*reversed(self.keys)).open(sealed, AAD) == PLAIN

    def test_first_key_seals(self) -> None:
        """The first key of a list seals: it opens the record, the others do not (C24)."""
        sealed = self.cipher_of(*self.keys).seal(PLAIN, AAD)
        assert self.cipher_of(self.keys[0]).open(sealed, AAD) == PLAIN
        with pytest.raises(DecryptionError):
            self.cipher_of(*self.keys[1:]).open(sealed, AAD)

    def test_rotation_steps(self) -> None:
        """In a rotation (add, promote, remove) consecutive versions open each other's (C24)."""
        old, new = self.keys[:2]
        for before, after in (([old], [old, new]), ([old, new], [new, old]), ([new, old], [new])):
            one, two = self.cipher_of(*before), self.cipher_of(*after)
            assert two.open(two.seal(PLAIN, AAD), AAD) == PLAIN
            assert one.open(two.seal(PLAIN, AAD), AAD) == PLAIN
            if after != [new]:  # by then, all has been sealed again
                assert two.open(one.seal(PLAIN, AAD), AAD) == PLAIN

    def test_is_current(self) -> None:
        """A record is current if the first key sealed it (C24)."""
        old, new = self.keys[:2]
        both = self.cipher_of(new, old)
        assert both.is_current(self.cipher_of(old).seal(PLAIN, AAD)) is False
        for sealed in (both.seal(PLAIN, AAD), self.cipher_of(new).seal(PLAIN, AAD)):
            current = both.is_current(sealed)
            assert type(current) is bool
            assert current is both.is_current(sealed)

    def test_is_current_of_any_bytes(self) -> None:
        """Bytes that the cipher never sealed are not current (C24)."""
        box = self.cipher_of(*self.keys)
        for data in (b"", b"\x80", PLAIN, b"\xff" * 200, os.urandom(200)):
            assert box.is_current(data) is False
        sealed = box.seal(PLAIN, AAD)
        for size in range(len(sealed)):
            assert type(box.is_current(sealed[:size])) is bool
