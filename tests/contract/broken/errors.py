"""Stores that damage values, or report errors as something else."""

import json
import logging
import time

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.errors import (
    BackendUnavailableError,
    CorruptRecordError,
    StorageError,
    ValueTooLargeError,
)
from fibonacci.plugin import ABSENT


@broken("test_exact_bytes")
class StripsBytes(MinimalStore):
    """Records are stored as text, and lose bytes that are not."""

    def write(self, address, data, ttl_ms, *, deadline):
        data = data.decode(errors="replace").encode()
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_exact_bytes")
class ReturnsABuffer(MinimalStore):
    """Reads return the store's buffer, which others may change."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return data if data is None else bytearray(data)


class TextStore(MinimalStore):
    """What is written is changed first."""

    def written(self, address, data):
        return data

    def put(self, address, data, expires):
        super().put(address, self.written(address, data), expires)


@broken("test_round_trip")
class RoundsNumbers(TextStore):
    """Records are decoded and encoded again, with numbers as floats."""

    def written(self, address, data):
        return json.dumps(json.loads(data, parse_int=float)).encode()


@broken("test_shorter_value_replaces_longer")
class OverwritesInPlace(TextStore):
    """A shorter value leaves the end of a longer one."""

    def written(self, address, data):
        return data + (self.found(address) or (b"",))[0][len(data) :]


@broken("test_large_value")
class CutsAt64K(TextStore):
    """Values are cut at 65,535 bytes, as a column may do."""

    def written(self, address, data):
        return data[: 2**16 - 1]


@broken("test_none")
class NullIsAbsent(MinimalStore):
    """A null of JSON is taken for an SQL one."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return None if data == b"null" else data


@broken("test_corrupt_record_can_be_replaced")
class ReplacesOnlySound(TextStore):
    """A write reads the old record first, and fails if it is corrupt."""

    def written(self, address, data):
        if (self.found(address) or (b"",))[0].startswith(b"{o"):
            raise CorruptRecordError("not a record")
        return data


@broken("test_corrupt_record")
class SwallowsCorruption(MinimalStore):
    """Invalid JSON is reported as absent."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return data if data and data[:1] in b' "-0123456789[{tfn' and data[1:2] != b"o" else None


@broken("test_read_past_deadline")
class SwallowsTimeouts(MinimalStore):
    """A request that timed out is reported as absent."""

    def read(self, address, *, deadline):
        try:
            if time.monotonic() > deadline:
                raise TimeoutError
            return super().read(address, deadline=deadline)
        except TimeoutError:
            return None


@broken("test_read_past_deadline")
class LeaksTimeouts(MinimalStore):
    """A request that timed out raises the driver's own error."""

    def read(self, address, *, deadline):
        if time.monotonic() > deadline:
            raise TimeoutError
        return super().read(address, deadline=deadline)


@broken("test_write_past_deadline")
class DeniesWrites(MinimalStore):
    """A write that was applied is reported as surely not applied."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data, ttl_ms, deadline=deadline)
        if time.monotonic() > deadline:
            raise BackendUnavailableError("too late")


@broken("test_larger_value")
class CutsLargeValues(MinimalStore):
    """Values are cut at a mebibyte."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data[: 2**20], ttl_ms, deadline=deadline)


@broken("test_largest_values")
class RefusesAfterTheWrite(MinimalStore):
    """A value that is too large is refused when it was written."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data, ttl_ms, deadline=deadline)
        if len(data) > 2**23:
            raise ValueTooLargeError("too large", size=len(data), limit=2**23)


@broken("test_largest_values")
class KeepsTheSizes(MinimalStore):
    """The error about a value that is too large does not have the sizes."""

    def write(self, address, data, ttl_ms, *, deadline):
        if len(data) > 2**23:
            raise ValueTooLargeError("too large")
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_largest_values")
class QuotesTheLargeValue(MinimalStore):
    """The error about a value that is too large shows how it begins."""

    def write(self, address, data, ttl_ms, *, deadline):
        if len(data) > 2**23:
            raise ValueTooLargeError(f"{data[:30]!r}… is too large", size=len(data), limit=2**23)
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_largest_values")
class SendsBothValues(MinimalStore):
    """A compare-and-set sends two values in one request, which has a limit of 16 MiB."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        if expected is not ABSENT and len(expected) + len(data) > 2**24:
            raise StorageError("the request is too large")
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_largest_values")
class ChecksAnotherLimit(MinimalStore):
    """A value of more than 8 MiB is refused before anybody writes it, though it could be stored."""

    def check_size(self, address, data):
        if len(data) > 2**23:
            raise ValueTooLargeError("too large", size=len(data), limit=2**23)


@broken("test_largest_values")
class ChecksTooLate(MinimalStore):
    """Writes refuse a value of more than 4 MiB that was accepted when it was only checked."""

    def check_size(self, address, data, limit=2**24):
        if len(data) > limit:
            raise ValueTooLargeError("too large", size=len(data), limit=limit)

    def write(self, address, data, ttl_ms, *, deadline):
        self.check_size(address, data, 2**22)
        super().write(address, data, ttl_ms, deadline=deadline)

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        self.check_size(address, data, 2**22)
        return super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)


@broken("test_any_deadline")
class LeaksLateTimeouts(MinimalStore):
    """A compare-and-set that takes too long raises the driver's own error."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        written = super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        time.sleep(0.002)
        if time.monotonic() > deadline:
            raise TimeoutError
        return written


@broken("test_any_deadline")
class DeniesLateChanges(MinimalStore):
    """A compare-and-set that was applied, but took too long, is reported as not applied."""

    def compare_and_set(self, address, expected, data, ttl_ms, *, deadline):
        written = super().compare_and_set(address, expected, data, ttl_ms, deadline=deadline)
        time.sleep(0.002)
        if time.monotonic() > deadline:
            raise BackendUnavailableError("too late")
        return written


@broken("test_nothing_secret_is_shown")
class LogsValues(MinimalStore):
    """Each write is logged for a debugger, with its value."""

    def write(self, address, data, ttl_ms, *, deadline):
        logging.getLogger("shelf").debug("write %r", data)
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("test_nothing_secret_is_shown")
class ShowsItsRecords(MinimalStore):
    """The repr shows the records."""

    def __repr__(self):
        return f"ShowsItsRecords({[*self.records.values()]})"


@broken("test_sealed_record_is_handled")
class KeepsOnlyPlain(MinimalStore):
    """Sealed records are neither listed nor removed."""

    def inside(self, space):
        return {
            key: record for key, record in super().inside(space).items() if record[0][:1] < b"\x80"
        }
