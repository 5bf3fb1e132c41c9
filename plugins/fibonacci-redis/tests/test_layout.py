"""The layout: no two addresses share a key, and a space is in one hash slot."""

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from fibonacci.plugin import SCOPES, Space
from fibonacci_redis.layout import space_keys

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
prefixes = st.text("abc:/#-", max_size=5)
spaces = st.builds(Space, prefixes, st.sampled_from(SCOPES), names)


def test_layout_of_the_readme() -> None:
    """space_keys() returns the layout in the README: other versions must find the records."""
    keys = space_keys(Space("fibonacci:", "user", "u:1 é}"))
    assert keys.index == b"fibonacci:v1:{u:u%3A1%20%C3%A9%7D}"
    assert keys.record_prefix == b"fibonacci:v1:{u:u%3A1%20%C3%A9%7D}:"
    assert space_keys(Space("", "global", "")).index == b"v1:{g:}"


@given(spaces, names, spaces, names)
def test_addresses_have_different_keys(
    space: Space, name: str, other_space: Space, other_name: str
) -> None:
    """Different addresses have different keys, none of which is an index (C1)."""
    key = space_keys(space).record_prefix + name.encode()
    other_key = space_keys(other_space).record_prefix + other_name.encode()
    assert (key == other_key) == ((space, name) == (other_space, other_name))
    assert key != space_keys(other_space).index


@given(spaces, names)
def test_space_is_in_one_slot(space: Space, key: str) -> None:
    """A space's index and records are in one hash slot."""
    keys = space_keys(space)
    assert keys.slot == key_slot(keys.index) == key_slot(keys.record_prefix + key.encode())


@given(st.lists(names))
def test_index_sorts_by_code_points(keys: list[str]) -> None:
    """The index's order, by bytes, is the order of code points (C14)."""
    assert sorted(keys) == [name.decode() for name in sorted(key.encode() for key in keys)]
