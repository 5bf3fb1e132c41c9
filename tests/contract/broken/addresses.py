"""Stores that mix up records, or clear too much or too little."""

import math
import unicodedata

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.errors import StorageError
from fibonacci.plugin import Address


@broken("test_hostile_keys")
class FoldsCase(MinimalStore):
    """Keys are compared case-insensitively."""

    def record_key(self, address):
        return Address(address.space, address.key.lower())


@broken("test_hostile_keys", "test_hostile_keys_listed")
class Normalises(MinimalStore):
    """Keys are normalized to NFC."""

    def record_key(self, address):
        return Address(address.space, unicodedata.normalize("NFC", address.key))


@broken("test_hostile_keys")
class Trims(MinimalStore):
    """Trailing spaces of a key are removed."""

    def record_key(self, address):
        return Address(address.space, address.key.rstrip(" "))


@broken("test_ambiguous_addresses", "test_ambiguous_removals", "test_ambiguous_spaces")
class JoinsWithColons(MinimalStore):
    """Owner and key are joined by a colon that both may contain."""

    def record_key(self, address):
        prefix, scope, owner = address.space
        return f"{prefix}{scope}:{owner}:{address.key}"


@broken("test_scopes_are_separate")
class ForgetsTheScope(MinimalStore):
    """Scopes share the records of equal owners."""

    def record_key(self, address):
        prefix, _, owner = address.space
        return (prefix, owner, address.key)


@broken("test_longest_names")
class CutsLongKeys(MinimalStore):
    """Keys are cut at 255 characters, as a column may do."""

    def record_key(self, address):
        return Address(address.space, address.key[:255])


@broken("test_hostile_users", "test_hostile_workflows")
class FoldsOwners(MinimalStore):
    """Owners are compared case-insensitively."""

    def record_key(self, address):
        space = address.space
        return Address(space._replace(owner=space.owner.lower()), address.key)


@broken("test_hostile_prefixes")
class FoldsPrefixes(MinimalStore):
    """Key prefixes are compared case-insensitively."""

    def record_key(self, address):
        space = address.space
        return Address(space._replace(prefix=space.prefix.lower()), address.key)


@broken("test_clear_empty")
class NeedsABucket(MinimalStore):
    """Clearing a space that holds nothing is an error, as its bucket does not exist."""

    def clear(self, space, *, cursor=None, deadline):
        if not self.inside(space):
            raise StorageError("there is no such bucket")
        return super().clear(space, cursor=cursor, deadline=deadline)


@broken("test_clear_removes_expiring_records", "test_default_clear")
class ClearsLastingRecords(MinimalStore):
    """Clearing leaves the records that will expire anyway."""

    def clear(self, space, *, cursor=None, deadline):
        for _, expires, address in self.inside(space).values():
            if expires == math.inf:
                self.remove(address, deadline=deadline)


@broken("test_clear_in_steps", "test_clear_one_user")
class ClearsSiblings(MinimalStore):
    """Clearing removes every owner whose name starts with the cleared one."""

    def clear(self, space, *, cursor=None, deadline):
        for record in list(self.records.values()):
            prefix, scope, owner = record[2].space
            if (prefix, scope) == space[:2] and owner.startswith(space.owner):
                self.remove(record[2], deadline=deadline)


@broken("test_clear_one_prefix", "test_clear_one_scope")
class ClearsEverything(MinimalStore):
    """Clearing removes all records of the database."""

    def clear(self, space, *, cursor=None, deadline):
        self.records.clear()


@broken("test_clear_many")
class ClearsOnePage(MinimalStore):
    """Clearing stops after the first thousand records."""

    def clear(self, space, *, cursor=None, deadline):
        super().clear(space, cursor=cursor, deadline=deadline)
