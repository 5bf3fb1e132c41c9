"""Where records live: no two addresses share a key, and a space is one hash slot."""

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from fibonacci.plugin import SCOPES, Space
from fibonacci_redis.layout import space_keys

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
prefixes = st.text("abc:/#-", max_size=5)
spaces = st.builds(Space, prefixes, st.sampled_from(SCOPES), names)


def test_keys() -> None:
    """The layout is the one that the README shows: other versions have to find the records."""
    where = space_keys(Space("fibonacci:", "user", "u:1 é}"))
    assert where.index == b"fibonacci:v1:{u:u%3A1%20%C3%A9%7D}"
    assert where.record_prefix == b"fibonacci:v1:{u:u%3A1%20%C3%A9%7D}:"
    assert space_keys(Space("", "global", "")).index == b"v1:{g:}"


@given(spaces, names, spaces, names)
def test_injective(one: Space, key: str, other: Space, second: str) -> None:
    """Different addresses have different keys, and none is an index (C1)."""
    first, last = (
        space_keys(one).record_prefix + key.encode(),
        space_keys(other).record_prefix + second.encode(),
    )
    assert (first == last) == ((one, key) == (other, second))
    assert first != space_keys(other).index


@given(spaces, names)
def test_one_slot(space: Space, key: str) -> None:
    """A space's index and records are in one hash slot."""
    where = space_keys(space)
    assert where.slot == key_slot(where.index) == key_slot(where.record_prefix + key.encode())


@given(st.lists(names))
def test_order(keys: list[str]) -> None:
    """The order of the index, by bytes, is the order of code points (C14)."""
    assert sorted(keys) == [name.decode() for name in sorted(key.encode() for key in keys)]
