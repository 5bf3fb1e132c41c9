"""Stores whose records live too long, or not long enough."""

import math
import time

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.plugin import ABSENT, KEEP_TTL


@broken("test_expired_get", "test_expired_get_many")
class ReturnsExpired(MinimalStore):
    """An expired record is returned until it is removed."""

    def read(self, address, *, deadline):
        record = self.records.get(self.record_key(address))
        return record[0] if record else None


@broken("test_expired_list")
class ListsExpired(MinimalStore):
    """An expired record is listed."""

    def inside(self, space):
        return {one[2].key: one for one in list(self.records.values()) if one[2].space == space}


@broken("test_default_exists", "test_expired_exists")
class ExpiredExists(MinimalStore):
    """An expired record exists."""

    def exists(self, address, *, deadline):
        return self.record_key(address) in self.records


@broken("test_expired_delete", "test_expired_delete_many", "test_expired_store_methods")
class RemovesExpired(MinimalStore):
    """Removing an expired record returns True."""

    def remove(self, address, *, deadline):
        return self.records.pop(self.record_key(address), None) is not None


@broken(
    "test_expired_add",
    "test_expired_append",
    "test_expired_compare_and_set",
    "test_expired_increment",
    "test_expired_update",
)
class AddsNotOverExpired(MinimalStore):
    """A compare-and-set treats an expired record as live."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found, expires, _ = self.records.get(self.record_key(address), (ABSENT, math.inf, None))
            if found != expected:
                return False
            self.put(address, data, expires if ttl_ms is KEEP_TTL else self.expiry(ttl_ms))
            return True


@broken("test_expired_compare_with_absent")
class KeepsExpiredExpiry(MinimalStore):
    """KEEP_TTL on creation uses the expiry of the record that expired there."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            record = self.records.get(self.record_key(address))
            if ttl_ms is KEEP_TTL and expected is ABSENT and record and not self.found(address):
                self.put(address, data, record[1])
                return True
            return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_cas_keep_ttl", "test_changed_record_expires", "test_changes_keep_the_expiry")
class KeepDropsExpiry(MinimalStore):
    """KEEP_TTL removes the record's expiry."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        ttl_ms = None if ttl_ms is KEEP_TTL else ttl_ms
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_set_many_replaces_the_expiry", "test_set_replaces_the_expiry")
class WriteKeepsExpiry(MinimalStore):
    """A write without a ttl keeps the old expiry, as an SQL upsert that forgets a column does."""

    def write(self, address, data, ttl_ms, *, deadline):
        with self.lock:
            record = self.found(address)
            expires = record[1] if record and ttl_ms is None else self.expiry(ttl_ms)
            self.put(address, data, expires)


@broken("test_absent_after_expiry", "test_expired_ttl", "test_shortest_ttl")
class WholeSecondsUp(MinimalStore):
    """A ttl is rounded up to whole seconds."""

    def expiry(self, ttl_ms):
        return super().expiry(ttl_ms and math.ceil(ttl_ms / 1000) * 1000)


@broken("test_milliseconds", "test_present_before_expiry")
class WholeSecondsDown(MinimalStore):
    """A ttl is cut to whole seconds."""

    def expiry(self, ttl_ms):
        return super().expiry(ttl_ms and ttl_ms // 1000 * 1000)


@broken("test_ttl_is_never_shorter")
class CountsFromCutClock(MinimalStore):
    """A ttl starts at the last whole millisecond, so a record expires up to 1 ms early."""

    def expiry(self, ttl_ms):
        return math.inf if ttl_ms is None else (math.floor(self.now() * 1000) + ttl_ms) / 1000


@broken("test_long_ttl", "test_store_sets_the_expiry")
class SecondsTakenForMilliseconds(MinimalStore):
    """The remaining time is returned in seconds."""

    def remaining_ttl_ms(self, address, *, deadline):
        left = super().remaining_ttl_ms(address, deadline=deadline)
        return left // 1000 if isinstance(left, int) else left


@broken("test_reads_keep_the_expiry")
class KeepsWhatIsRead(MinimalStore):
    """A record that is read stays for ever, also if it has just expired."""

    def read(self, address, *, deadline):
        record = self.records.get(self.record_key(address))
        if record:
            self.put(address, record[0], math.inf)
        return record and record[0]


# test_reads_keep_the_expiry finds it, too, unless the machine pauses for longer than the ttl.
@broken("test_reads_keep_the_ttl")
class RefreshesOnRead(MinimalStore):
    """Each read restarts the record's ttl."""

    def put(self, address, data, expires):
        super().put(address, data, expires)
        self.records[self.record_key(address)] += (expires - self.now(),)

    def read(self, address, *, deadline):
        record = self.found(address)
        if record:
            self.put(address, record[0], self.now() + record[3])
        return record and record[0]

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        with self.lock:
            found = (self.found(address) or (ABSENT,))[0]
            if found != expected:
                return False
            expires = self.records[self.record_key(address)][1] if found is not ABSENT else math.inf
            self.put(address, data, expires if ttl_ms is KEEP_TTL else self.expiry(ttl_ms))
            return True

    def remaining_ttl_ms(self, address, *, deadline):
        record = self.found(address)
        if record is None:
            return ABSENT
        return None if record[1] == math.inf else math.ceil((record[1] - self.now()) * 1000)


@broken("test_skewed_clock")
class TrustsTheClient(MinimalStore):
    """Expiries are times of the client's clock, which the store does not say."""

    def now(self):
        return time.time()


@broken("test_expired_set")
class WriteKeepsPastExpiry(MinimalStore):
    """A write without a ttl keeps the expiry of the record that expired there."""

    def write(self, address, data, ttl_ms, *, deadline):
        record = self.records.get(self.record_key(address))
        super().write(address, data, ttl_ms, deadline=deadline)
        if record and ttl_ms is None and record[1] < self.now():
            self.put(address, data, record[1])


@broken("test_touch_absent")
class TouchCreates(MinimalStore):
    """Touching an absent record creates one."""

    def touch(self, address, ttl_ms, *, deadline):
        data = self.read(address, deadline=deadline)
        self.write(address, data or b"null", ttl_ms, deadline=deadline)
        return data is not None


@broken("test_touch_removes_the_expiry")
class TouchOnlyExtends(MinimalStore):
    """Touching without a ttl changes nothing."""

    def touch(self, address, ttl_ms, *, deadline):
        if ttl_ms is None:
            return self.exists(address, deadline=deadline)
        return super().touch(address, ttl_ms, deadline=deadline)


@broken("test_expired_touch")
class TouchResurrects(MinimalStore):
    """Touching an expired record revives it."""

    def touch(self, address, ttl_ms, *, deadline):
        with self.lock:
            record = self.records.get(self.record_key(address))
            if record:
                self.put(address, record[0], self.expiry(ttl_ms))
            return record is not None


@broken("test_touch_loses_no_change")
class TouchWritesBack(MinimalStore):
    """Touching reads the record and writes it back, which undoes concurrent changes."""

    def touch(self, address, ttl_ms, *, deadline):
        data = self.read(address, deadline=deadline)
        time.sleep(0.001)
        if data is not None:
            self.write(address, data, ttl_ms, deadline=deadline)
        return data is not None


@broken("test_default_touch", "test_touch_keeps_the_bytes")
class TouchChangesBytes(MinimalStore):
    """Touching rewrites the value in another form."""

    def touch(self, address, ttl_ms, *, deadline):
        data = self.read(address, deadline=deadline)
        return data is not None and self.compare_and_set(
            address, data, data.strip() + b" ", ttl_ms, deadline=deadline
        )
