"""The codec: every JSON value is encoded and decoded exactly, and no bytes raise a stray error."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci import CorruptRecordError, DecryptionError, FibonacciError, MemoryConfig, Workflow
from fibonacci._builtin.local import LocalStore
from fibonacci._memory import codec, strict_json
from fibonacci.plugin import Address, Space

ADDRESS = Address(Space("fibonacci:", "workflow", "w"), "turn")

text = st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False, allow_infinity=False)
edges = st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 127, -1, 255])
leaves = st.none() | st.booleans() | st.integers() | edges | floats | text
values = st.recursive(
    leaves,
    lambda inside: st.lists(inside, max_size=5) | st.dictionaries(text, inside, max_size=5),
    max_leaves=12,
)


def has_huge_int(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(has_huge_int, value.values()))
    if isinstance(value, list):
        return any(map(has_huge_int, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**64


def decoded(data: bytes) -> Any:
    """The value, or the error of ours that the bytes raise."""
    try:
        return codec.decode(data, ADDRESS)
    except (CorruptRecordError, DecryptionError) as error:
        return error


@given(values)
@settings(max_examples=200, deadline=None)
def test_decode_undoes_encode(value: Any):
    """C7: decode() returns a value equal to the encoded one, and of the same types."""
    assert repr(codec.decode(codec.encode(value, ADDRESS), ADDRESS)) == repr(value)


@given(values)
@settings(deadline=None)
def test_first_byte_shows_the_format(value: Any):
    """C25: the first byte is a space if a number has over 64 bits, else JSON's, never a seal's."""
    first = codec.encode(value, ADDRESS)[0]
    assert first < 0x80
    assert (first == 0x20) is has_huge_int(value)


@given(values)
@settings(deadline=None)
def test_fast_and_slow_path_encode_alike(value: Any):
    """codec.encode() and strict_json.encode() return the same bytes, so that they compare equal."""
    assert codec.encode(value, ADDRESS) == strict_json.encode(value, "turn")


@given(values)
@settings(deadline=None)
def test_decoded_value_encodes_to_the_same_bytes(value: Any):
    """A value that is decoded and encoded again has the same bytes."""
    data = codec.encode(value, ADDRESS)
    assert codec.encode(codec.decode(data, ADDRESS), ADDRESS) == data


@given(st.binary() | st.binary().map(b" ".__add__) | st.text().map(lambda s: s.encode("utf-16")))
@settings(max_examples=200, deadline=None)
def test_random_bytes_raise_no_stray_error(data: bytes):
    """C8: decode() of any bytes returns a value, or raises one of two errors of the package."""
    decoded(data)


@given(values, st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_records_raise_no_stray_error(value: Any, data: st.DataObject):
    """C8: a record that was cut, extended or changed in one byte raises no stray error."""
    whole = codec.encode(value, ADDRESS)
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    decoded(whole[:place])
    decoded(whole + byte)
    decoded(whole[:place] + byte + whole[place + 1 :])


@given(values.filter(lambda value: isinstance(value, dict | list | str)), st.data())
@settings(deadline=None)
def test_truncated_record_is_never_a_value(value: Any, data: st.DataObject):
    """C8: a list, dict or text that lost its end does not decode to a shorter one."""
    whole = codec.encode(value, ADDRESS)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert isinstance(decoded(cut), FibonacciError)


CORRUPT = {
    "nothing": b"",
    "a space": b" ",
    "a word": b"nul",
    "two values": b"1 2",
    "two values, exact": b" 1 2",
    "a rest": b"[1]x",
    "single quotes": b"{'a':1}",
    "a comma too many": b"[1,]",
    "an int key": b"{1:2}",
    "a leading zero": b"01",
    "a leading zero, exact": b" 01",
    "a plus": b"+1",
    "no digit before the point": b".5",
    "no digit before the point, exact": b" .5",
    "NaN": b"NaN",
    "NaN, exact": b" NaN",
    "NaN inside, exact": b" [1,NaN]",
    "Infinity": b"Infinity",
    "-Infinity, exact": b" -Infinity",
    "a number out of range": b"1e999",
    "a number out of range, exact": b" 1e999",
    "a number out of range, exact, inside": b' {"a":[-1e999]}',
    "4,301 digits": b" " + b"9" * 4301,
    "NUL": b"\x00",
    "a control character": b'"\x01"',
    "a control character, exact": b' "\x01"',
    "half a surrogate pair": b'"\\ud800"',
    "half a surrogate pair, exact": b' "\\ud800"',
    "half a surrogate pair, exact, as a key": b' {"\\udfff":1}',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a surrogate in UTF-8, exact": b' "\xed\xa0\x80"',
    "Latin-1": b'"\xe9"',
    "Latin-1, exact": b' "\xe9"',
    "2,000 brackets": b"[" * 2_000,
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets, exact": b" " + b"[" * 100_000,
    "pickle, protocol 0": b"I1\n.",
    "YAML": b"- a\n- b",
}


@pytest.mark.parametrize("name", CORRUPT)
def test_bytes_that_are_no_json_raise(name: str):
    """C8: a corrupt record raises, and is never a value or the default; the error names it."""
    store = LocalStore()
    memory = Workflow("w", MemoryConfig(store)).memory
    store.write(ADDRESS, CORRUPT[name], None, deadline=0)
    with pytest.raises(CorruptRecordError) as caught:
        memory.get("turn", default="none")
    assert str(caught.value) == (
        "the record 'turn' in workflow scope of 'w' is not valid JSON: it was corrupted, or "
        "written by another program. Delete or overwrite it"
    )
    assert memory.exists("turn")
    assert memory.delete("turn")


@pytest.mark.parametrize(
    "data", [b"\x80", b"\xff" * 50, b"\x80\x04K\x01.", b"\xef\xbb\xbf1", b"\xff\xfe1\x00"]
)
def test_bytes_that_look_sealed_raise(data: bytes):
    """C25: a record that starts with 0x80 or above is sealed, and raises without a key."""
    with pytest.raises(DecryptionError, match="is sealed, and this memory has no encryption"):
        codec.decode(data, ADDRESS)


@pytest.mark.parametrize(
    "operation",
    [
        lambda memory: memory.update("turn", lambda old: 1),
        lambda memory: memory.append("turn", 1),
        lambda memory: memory.increment("turn"),
        lambda memory: memory.get_many(["turn"]),
    ],
    ids=["update", "append", "increment", "get_many"],
)
def test_corrupt_record_is_never_updated(operation):
    """C8: an operation that reads a corrupt record raises, and leaves it as it is."""
    store = LocalStore()
    memory = Workflow("w", MemoryConfig(store)).memory
    store.write(ADDRESS, b"[1, 2", None, deadline=0)
    with pytest.raises(CorruptRecordError):
        operation(memory)
    assert store.read(ADDRESS, deadline=0) == b"[1, 2"


def test_corrupt_record_can_be_overwritten():
    """A corrupt record can be deleted or overwritten, as the message advises."""
    store = LocalStore()
    memory = Workflow("w", MemoryConfig(store)).memory
    store.write(ADDRESS, b"[1, 2", None, deadline=0)
    assert memory.set("turn", 1)
    assert memory.get("turn") == 1
