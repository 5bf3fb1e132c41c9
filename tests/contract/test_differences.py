"""What the suites show of large values that differ."""

import pytest

from fibonacci.testing.differences import difference


@pytest.mark.parametrize(
    ("found", "expected", "shown"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, "it['a'][1] is 2, not 3"),
        ({"a": 1}, {"b": 1}, "it is {'a': 1} of length 1, not {'b': 1} of length 1"),
        ([b"ab"], [b"ac"], "it[0][1] is 98, not 99"),
        ([1], [], "it is [1] of length 1, not [] of length 0"),
        (None, [1], "it is None, not [1] of length 1"),
        ([True, "1"], [True, 1], "it[1] is '1' of length 1, not 1"),
    ],
)
def test_different_values(found, expected, shown):
    """The first difference is shown with its place."""
    assert difference(found, expected) == shown


def test_equal_values():
    """Equal values have no difference."""
    assert difference({"a": [1, b"2"]}, {"a": [1, b"2"]}) is None


def test_large_values():
    """Large values are shown short."""
    shown = difference(["x" * 10_000] * 10_000, "y" * 10_000)
    assert shown is not None
    assert len(shown) < 500
