"""Ciphers that mix up their keys."""

from broken_ciphers.entry import Sound, broken


@broken("test_other_key")
class OneKeyForAll(Sound):
    """The user's key is ignored."""

    def read(self, key):
        super().read(key)
        return b"k" * 32


@broken("test_all_keys_open")
class OneKeyOpens(Sound):
    """Only the first key opens records."""

    def __init__(self, keys):
        super().__init__(keys[:1])


@broken("test_first_key_seals")
class LastKeySeals(Sound):
    """The last key seals."""

    def __init__(self, keys):
        super().__init__(keys[::-1])


@broken("test_rotation_steps")
class IgnoresTheSecondKey(Sound):
    """The second key opens nothing."""

    def __init__(self, keys):
        super().__init__([keys[0], *keys[2:]])


@broken("test_is_current")
class AlwaysCurrent(Sound):
    """No record is ever rewrapped."""

    def is_current(self, sealed):
        return sealed[:1] == b"\x80"


@broken("test_is_current_of_any_bytes")
class NeedsAHead(Sound):
    """A record without a first byte raises IndexError."""

    def is_current(self, sealed):
        return sealed[0] == 0x80 and super().is_current(sealed)


@broken("test_is_current_of_any_bytes")
class TakesAllForIts(Sound):
    """Bytes that were never sealed are called current."""

    def is_current(self, sealed):
        return sealed[1:5] not in (set(self.keys) - {self.first})
