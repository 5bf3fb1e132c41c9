"""Stores that mix up records, or clear too much or too little."""

import unicodedata

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.plugin import Address


@broken("C2")
class FoldsCase(MinimalStore):
    """Keys are compared case-insensitively."""

    def record_key(self, address):
        return Address(address.space, address.key.lower())


@broken("C2")
class Normalises(MinimalStore):
    """Keys are normalized to NFC."""

    def record_key(self, address):
        return Address(address.space, unicodedata.normalize("NFC", address.key))


@broken("C2")
class Trims(MinimalStore):
    """Trailing spaces of a key are removed."""

    def record_key(self, address):
        return Address(address.space, address.key.rstrip(" "))


@broken("C1")
class JoinsWithColons(MinimalStore):
    """Owner and key are joined by a colon that both may contain."""

    def record_key(self, address):
        prefix, scope, owner = address.space
        return f"{prefix}{scope}:{owner}:{address.key}"


@broken("C1")
class ForgetsTheScope(MinimalStore):
    """Scopes share the records of equal owners."""

    def record_key(self, address):
        prefix, _, owner = address.space
        return (prefix, owner, address.key)


@broken("C3")
class CutsLongKeys(MinimalStore):
    """Keys are cut at 255 characters, as a column may do."""

    def record_key(self, address):
        return Address(address.space, address.key[:255])


@broken("C6")
class ClearsSiblings(MinimalStore):
    """Clearing removes every owner whose name starts with the cleared one."""

    def clear(self, space, *, cursor=None, deadline):
        for record in list(self.records.values()):
            prefix, scope, owner = record[2].space
            if (prefix, scope) == space[:2] and owner.startswith(space.owner):
                self.remove(record[2], deadline=deadline)


@broken("C6")
class ClearsEverything(MinimalStore):
    """Clearing removes all records of the database."""

    def clear(self, space, *, cursor=None, deadline):
        self.records.clear()


@broken("C6")
class ClearsOnePage(MinimalStore):
    """Clearing stops after the first thousand records."""

    def clear(self, space, *, cursor=None, deadline):
        super().clear(space, cursor=cursor, deadline=deadline)
