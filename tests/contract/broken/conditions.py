"""Stores on servers with versions, with incomplete conditions."""

import asyncio
import time

from versions import AsyncVersionStore, VersionStore

from broken.entry import broken
from fibonacci.plugin import ABSENT


@broken("test_concurrent_deletes")
class KnowsOnlyAbsence(VersionStore):
    """The condition that there be no record is checked, that of a version is not."""

    def holds(self, address, version):
        return version is not ABSENT or super().holds(address, version)


@broken("test_concurrent_adds")
class ChecksAndWrites(VersionStore):
    """Condition and write are two requests."""

    def write_if(self, address, version, data, expires, *, deadline):
        if not self.holds(address, version):
            return False
        time.sleep(0.0005)
        return super().write_if(address, None, data, expires, deadline=deadline)


@broken("test_concurrent_adds")
class TakesConflictsForSuccess(VersionStore):
    """The response that a condition did not hold is ignored."""

    def write_if(self, address, version, data, expires, *, deadline):
        super().write_if(address, version, data, expires, deadline=deadline)
        return True


@broken("test_concurrent_deletes")
class TakesEveryRemovalForOurs(VersionStore):
    """A removal returns True even if another client removed the record."""

    def remove_if(self, address, version, *, deadline):
        super().remove_if(address, version, deadline=deadline)
        return True


@broken("test_expired_list")
class ListsTheUnswept(VersionStore):
    """An expired record is listed until the server removes it."""

    def listed(self, record):
        return True


@broken(
    "test_cas_new_expiry",
    "test_cas_same_bytes",
    "test_changes_create_with_a_ttl",
    "test_touch_extends_the_expiry",
    "test_touch_shortens_the_expiry",
)
class ForgetsExpiryOnConditions(VersionStore):
    """A conditional write drops its expiry."""

    def write_if(self, address, version, data, expires, *, deadline):
        expires = expires if version is None else None
        return super().write_if(address, version, data, expires, deadline=deadline)


@broken("test_concurrent_adds")
class AsyncChecksAndWrites(AsyncVersionStore):
    """Another task runs between condition and write."""

    def __init__(self, store):
        super().__init__(VersionStore())

    async def write_if(self, address, version, data, expires, *, deadline):
        if not self.store.holds(address, version):
            return False
        await asyncio.sleep(0)
        return await super().write_if(address, None, data, expires, deadline=deadline)
