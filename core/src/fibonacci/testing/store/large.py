"""Large values and large batches."""

from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from fibonacci import ValueTooLargeError
from fibonacci.plugin import Address
from fibonacci.testing.differences import difference
from fibonacci.testing.store.fixtures import ContractFixtures, StoreUnderTest
from fibonacci.testing.tracebacks import traceback_text

MIB = 2**20


class LargeTests(ContractFixtures):
    """C10, C14 and C17: what may not fit into one request."""

    @pytest.mark.parametrize(("count", "size"), [(100, 100_000), (3, MIB)])
    def test_batch_of_large_records(self, raw_store: StoreUnderTest, count: int, size: int) -> None:
        """A batch of large records is written, read and removed as a whole (C14, C17)."""
        addresses = [raw_store.address(f"k{number}") for number in range(count)]
        items = [(address, _data(size, number)) for number, address in enumerate(addresses)]
        if not _fits(lambda: raw_store.write_many(items), items[0][1]):
            assert difference(raw_store.read_many(addresses), [None] * count) is None
            return
        assert difference(raw_store.read_many(addresses), [data for _, data in items]) is None
        assert raw_store.remove_many(addresses) == count
        assert difference(raw_store.read_many(addresses), [None] * count) is None

    @pytest.mark.parametrize("size", [5 * MIB, 9 * MIB, 16 * MIB])
    def test_largest_values(self, raw_store: StoreUnderTest, size: int) -> None:
        """A value of up to 16 MiB is stored whole, or refused while the old one stays (C10).

        The store's check_size refuses it if the write does. One that isn't overridden refuses none.
        """
        address, stored = raw_store.address("k"), b"old"
        raw_store.write(address, stored)
        for number, write in enumerate(WAYS_TO_WRITE[size]):
            data = _data(size, number)
            is_accepted = _fits(partial(raw_store.check_size, address, data), data)
            if fits := _fits(partial(write, raw_store, address, stored, data), data):
                stored = data
            assert difference(raw_store.read(address), stored) is None
            _compare_limits(raw_store, is_accepted=is_accepted, fits=fits)


def _compare_limits(raw_store: StoreUnderTest, *, is_accepted: bool, fits: bool) -> None:
    assert is_accepted or not fits, "check_size refuses a value that can be written"
    assert not is_accepted or fits or not raw_store.knows_limit, (
        "check_size accepts a value that is too large to be written"
    )


def _write(raw_store: StoreUnderTest, address: Address, _: bytes, data: bytes) -> None:
    raw_store.write(address, data)


def _compare_and_set(
    raw_store: StoreUnderTest, address: Address, expected: bytes, data: bytes
) -> None:
    assert raw_store.compare_and_set(address, expected, data) is True


def _write_many(raw_store: StoreUnderTest, address: Address, _: bytes, data: bytes) -> None:
    raw_store.write_many([(address, data)])


# All ways in all sizes would take seconds. A compare-and-set of 9 MiB sends 18 MiB, maybe.
WAYS_TO_WRITE: dict[int, list[Callable[[StoreUnderTest, Address, bytes, bytes], None]]] = {
    5 * MIB: [_write_many, _compare_and_set],
    9 * MIB: [_write, _compare_and_set],
    16 * MIB: [_write],
}


def _fits(call: Callable[[], object], data: bytes) -> bool:
    """Call; return whether the data was small enough. If not, the error has sizes, and no data."""
    try:
        call()
    except ValueTooLargeError as error:
        refused = error
    else:
        return True
    assert refused.size is not None
    assert refused.limit is not None
    assert refused.size > refused.limit
    for shown in (repr(data[:8])[2:-1], data[:8].hex()):
        assert shown not in traceback_text(refused), "the error shows the value"
    return False


def _data(size: int, seed: int = 0) -> bytes:
    return Random(seed).randbytes(size)  # noqa: S311 - no secret
