"""Stores that damage values, or report errors as something else."""

import time

from minimal import MinimalStore

from broken.entry import broken
from fibonacci.errors import BackendUnavailableError


@broken("C7")
class StripsBytes(MinimalStore):
    """Records are stored as text, and lose bytes that are not."""

    def write(self, address, data, ttl_ms, *, deadline):
        data = data.decode(errors="replace").encode()
        super().write(address, data, ttl_ms, deadline=deadline)


@broken("C7")
class ReturnsABuffer(MinimalStore):
    """Reads return the store's buffer, which others may change."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return data if data is None else bytearray(data)


@broken("C8")
class SwallowsCorruption(MinimalStore):
    """Invalid JSON is reported as absent."""

    def read(self, address, *, deadline):
        data = super().read(address, deadline=deadline)
        return data if data and data[:1] in b' "-0123456789[{tfn' and data[1:2] != b"o" else None


@broken("C18")
class SwallowsTimeouts(MinimalStore):
    """A request that timed out is reported as absent."""

    def read(self, address, *, deadline):
        try:
            if time.monotonic() > deadline:
                raise TimeoutError
            return super().read(address, deadline=deadline)
        except TimeoutError:
            return None


@broken("C18")
class LeaksTimeouts(MinimalStore):
    """A request that timed out raises the driver's own error."""

    def read(self, address, *, deadline):
        if time.monotonic() > deadline:
            raise TimeoutError
        return super().read(address, deadline=deadline)


@broken("C18")
class DeniesWrites(MinimalStore):
    """A write that was applied is reported as surely not applied."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data, ttl_ms, deadline=deadline)
        if time.monotonic() > deadline:
            raise BackendUnavailableError("too late")


@broken("C10")
class CutsLargeValues(MinimalStore):
    """Values are cut at a mebibyte."""

    def write(self, address, data, ttl_ms, *, deadline):
        super().write(address, data[: 2**20], ttl_ms, deadline=deadline)


@broken("C25")
class KeepsOnlyPlain(MinimalStore):
    """Sealed records are neither listed nor removed."""

    def inside(self, space):
        return {
            key: record for key, record in super().inside(space).items() if record[0][:1] < b"\x80"
        }
