"""Ciphers that mix their keys up."""

from broken_ciphers.entry import Sound, broken


@broken("test_other_key")
class OneKeyForAll(Sound):
    """What the user gave as the key does not matter."""

    def read(self, key):
        super().read(key)
        return b"k" * 32


@broken("test_all_keys_open")
class OneKeyOpens(Sound):
    """Only the first key opens."""

    def __init__(self, keys):
        super().__init__(keys[:1])


@broken("test_first_key_seals")
class LastKeySeals(Sound):
    """The last key seals."""

    def __init__(self, keys):
        super().__init__(keys[::-1])


@broken("test_rotation_steps")
class TriesTwoKeysAtMost(Sound):
    """A key that stands second opens nothing."""

    def __init__(self, keys):
        super().__init__([keys[0], *keys[2:]])


@broken("test_is_current")
class AlwaysCurrent(Sound):
    """Nothing is ever sealed anew."""

    def is_current(self, sealed):
        return sealed[:1] == b"\x80"


@broken("test_is_current_of_any_bytes")
class NeedsAHead(Sound):
    """It looks where nothing may be."""

    def is_current(self, sealed):
        return sealed[0] == 0x80 and super().is_current(sealed)


@broken("test_is_current_of_any_bytes")
class TakesAllForIts(Sound):
    """It calls current what was never sealed."""

    def is_current(self, sealed):
        return sealed[1:5] not in (set(self.keys) - {self.first})
