"""Forged and damaged records: each raises DecryptionError in bounded time."""

import gc
import random
from collections.abc import Callable, Iterator
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci.errors import DecryptionError
from fibonacci_crypto import AesGcmCipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.key_sources import read_keys

pytestmark = pytest.mark.bare  # thousands of records, and no additional coverage

Restart = Callable[..., AesGcmCipher]

AAD = b"an address"
CIPHER = AesGcmCipher(read_keys(["ab" * 31 + "cd"]), Derivations(), session_limit=100)
OTHER = AesGcmCipher(read_keys(["cd" * 31 + "ab"]), Derivations())
RECORDS = [
    *(CIPHER.seal(bytes(size), AAD) for size in (0, 1, 100, 1_024)),
    *(CIPHER.seal(bytes(size), b"another") for size in (0, 16)),
    OTHER.seal(b"value", AAD),
    bytes.fromhex("f1464d011100") + bytes(8) + b"\x01" + bytes(200),
    b'{"plain": "text"}',
]
OURS = {record: bytes(size) for record, size in zip(RECORDS, (0, 1, 100, 1_024), strict=False)}
LIMIT = 0.05
"""Seconds of this thread's CPU time that a record may take."""


def try_to_open(record: bytes, cipher: AesGcmCipher = CIPHER) -> None:
    """Check that a record opens if it is one of ours, and else raises DecryptionError."""
    try:
        plain = cipher.open(record, AAD)
    except DecryptionError:
        assert record not in OURS
    else:
        assert OURS[record] == plain


class Mutator:
    """Mutates records as an attacker might."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def mutated(self) -> bytes:
        chance = self.chance
        record = bytearray(chance.choice(RECORDS))
        for _ in range(chance.randint(1, 4)):
            chance.choice(
                (
                    self.flip,
                    self.set,
                    self.cut,
                    self.insert,
                    self.reverse,
                    self.repeat,
                    self.splice,
                )
            )(record)
        return bytes(record)

    def position(self, record: bytearray) -> int:
        """Return a position, most often in the header."""
        return self.chance.randrange(min(len(record), self.chance.choice((8, 96, 2_000))) or 1)

    def flip(self, record: bytearray) -> None:
        for at in [self.position(record)][: len(record)]:
            record[at] ^= 1 << self.chance.randrange(8)

    def set(self, record: bytearray) -> None:
        for at in [self.position(record)][: len(record)]:
            record[at] = self.chance.choice((0, 1, 2, 0x11, 0x7F, 0x80, 0xF1, 0xFF))

    def cut(self, record: bytearray) -> None:
        at = self.position(record)
        del record[at : self.chance.choice((at + 1, at + 16, None))]

    def insert(self, record: bytearray) -> None:
        at = self.position(record)
        record[at:at] = self.chance.randbytes(self.chance.choice((1, 4, 16, 300)))

    def reverse(self, record: bytearray) -> None:
        one, two = sorted((self.position(record), self.position(record)))
        record[one:two] = record[one:two][::-1]

    def repeat(self, record: bytearray) -> None:
        record *= self.chance.choice((2, 3))

    def splice(self, record: bytearray) -> None:
        other, at = self.chance.choice(RECORDS), self.position(record)
        record[at:] = other[self.chance.choice((at, 0, 14, 46, 78)) :]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Disable the garbage collector, whose run takes longer than a record."""
    gc.disable()
    yield
    gc.enable()


def seconds_for(record: bytes) -> float:
    start = thread_time()
    try_to_open(record)
    return thread_time() - start


def slowest(records: int, seed: int) -> float:
    """Try that many records; return the seconds of the slowest, the best of five tries."""
    mutator, longest = Mutator(seed), 0.0
    for _ in range(records):
        record = mutator.mutated()
        seconds = seconds_for(record)
        if seconds > LIMIT:  # a virtual machine may have paused
            seconds = min(seconds_for(record) for _ in range(5))
        longest = max(longest, seconds)
    return longest


@pytest.mark.parametrize(
    "records", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)], ids="{:,}".format
)
def test_mutated_records_are_refused_in_time(records: int, no_collector: None):
    """Mutated records raise DecryptionError within 50 ms."""
    assert slowest(records, seed=1) < LIMIT
    assert all(CIPHER.open(record, AAD) == plain for record, plain in OURS.items())


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_refused(record: bytes):
    """Random bytes raise DecryptionError."""
    try_to_open(record)


@given(
    st.sampled_from([b"\xf1FM", b"\xf1FM\x01", b"\xf1FM\x02", b"\x80"]),
    st.sampled_from([b"\x01", b"\x11", b"\x02", b""]),
    st.sampled_from([b"\0", b"\x01"]),
    st.sampled_from([RECORDS[0][6:14], bytes(8), b""]),
    st.binary(max_size=200),
)
@settings(max_examples=300, deadline=None)
def test_random_bytes_after_a_valid_prefix_are_refused(
    magic: bytes, suite: bytes, flags: bytes, key_id: bytes, rest: bytes
):
    """Random bytes after valid or invalid header fields raise DecryptionError."""
    try_to_open(magic + suite + flags + key_id + rest)


@given(record=st.sampled_from(RECORDS), data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_replaced_part_is_refused(record: bytes, data: st.DataObject):
    """A record with any part replaced raises DecryptionError."""
    start = data.draw(st.integers(0, len(record)))
    end = data.draw(st.integers(start, len(record)))
    try_to_open(record[:start] + data.draw(st.binary(max_size=40)) + record[end:])


@given(aad=st.binary(max_size=100))
@settings(deadline=None)
def test_any_other_address_is_refused(aad: bytes):
    """A record does not open at another address."""
    if aad != AAD:
        with pytest.raises(DecryptionError):
            CIPHER.open(RECORDS[0], aad)


@pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")
def test_mutated_records_of_a_passphrase_cost_little(
    restart: Restart, derived: list[bytes], clock: Any
):
    """Mutated records of a passphrase take at most a quarter of one CPU's time."""
    cipher, mutator = restart("correct horse battery staple"), Mutator(seed=2)
    started = clock()
    sealed = [cipher.seal(bytes(size), AAD) for size in (0, 1_000)]
    for _ in range(5_000):
        record = bytearray(mutator.chance.choice(sealed))
        for _ in range(mutator.chance.randint(1, 3)):
            mutator.flip(record)
        if record not in sealed:
            with pytest.raises(DecryptionError):
                cipher.open(bytes(record), AAD)
    assert len(derived) * 0.2 < 0.25 * (clock() - started) + 2
    assert [len(cipher.open(record, AAD)) for record in sealed] == [0, 1_000]
