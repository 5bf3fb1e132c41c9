"""What a ttl may be, and how it is rounded (C11)."""

import decimal
import fractions
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci import NO_EXPIRY, InvalidArgumentError, MemoryConfig, Workflow
from fibonacci._memory.expiry import MAX_TTL, ttl_to_ms


class Seconds(float):
    """A subclass of float, as numpy.float64 is one."""


@pytest.mark.parametrize(
    ("ttl", "ms"),
    [
        (1, 1_000),
        (0.5, 500),
        (1.5, 1_500),
        (3600, 3_600_000),
        (0.001, 1),
        (0.0001, 1),
        (5e-324, 1),
        (0.0011, 2),
        (Seconds(2), 2_000),
        (MAX_TTL, 3_155_760_000_000),
        (NO_EXPIRY, None),
    ],
)
def test_ttl_is_rounded_up_to_a_millisecond(ttl: Any, ms: int | None):
    """C11: a ttl is rounded up to whole milliseconds, never to 0 or to less than requested."""
    assert ttl_to_ms(ttl) == ms
    assert type(ttl_to_ms(ttl)) in (int, type(None))


@given(st.floats(min_value=0, max_value=MAX_TTL, exclude_min=True) | st.integers(1, int(MAX_TTL)))
@settings(deadline=None)
def test_rounding_adds_less_than_a_millisecond(ttl: float):
    """C11: for every valid ttl, exact arithmetic shows a difference of less than a millisecond."""
    ms = ttl_to_ms(ttl)
    exact = fractions.Fraction(ttl) * 1000
    assert ms is not None
    assert ms >= 1
    assert exact - exact / 2**52 <= ms < exact + 1 + exact / 2**52


BAD: list[tuple[Any, str]] = [
    (0, "must be over 0 and at most 100 years (3155760000 seconds)"),
    (0.0, "must be over 0"),
    (-0.0, "must be over 0"),
    (-1, "must be over 0"),
    (-0.001, "must be over 0"),
    (math.nan, "must be over 0"),
    (math.inf, "not inf. Use NO_EXPIRY for a record that never expires"),
    (-math.inf, "must be over 0"),
    (MAX_TTL + 1, "at most 100 years"),
    (10**30, "at most 100 years"),
    (10**5_000, "at most 100 years"),
    (True, "must be a number of seconds or NO_EXPIRY, not bool"),
    (False, "must be a number of seconds or NO_EXPIRY, not bool"),
    ("60", "must be a number of seconds or NO_EXPIRY, not str"),
    ("NO_EXPIRY", "not str"),
    (b"1", "not bytes"),
    (1j, "not complex"),
    (decimal.Decimal(1), "not Decimal"),
    (fractions.Fraction(1), "not Fraction"),
    (time.struct_time([0] * 9), "not struct_time"),
    ([1], "not list"),
    (object(), "not object"),
]

IDS = ["huge" if value == 10**5_000 else repr(value)[:14] for value, _ in BAD]


@pytest.fixture
def memory():
    """A memory that holds a value already."""
    memory = Workflow("w", MemoryConfig("memory", "memory://expiry")).memory
    memory.set("k", [0])
    yield memory
    memory.clear()


@pytest.mark.parametrize(("ttl", "message"), BAD, ids=IDS)
def test_invalid_ttl_is_refused(memory, ttl: Any, message: str):
    """C11: an invalid ttl raises InvalidArgumentError with the rule; nothing is written."""
    with pytest.raises(InvalidArgumentError) as caught:
        memory.set("k", 1, ttl=ttl)
    assert str(caught.value).startswith("ttl must be ")
    assert message in str(caught.value)
    assert memory.get("k") == [0]
    assert memory.ttl("k") == math.inf


@pytest.mark.parametrize(
    "operation",
    [
        lambda memory, ttl: memory.add("new", 1, ttl=ttl),
        lambda memory, ttl: memory.update("new", lambda old: 1, ttl=ttl),
        lambda memory, ttl: memory.append("new", 1, ttl=ttl),
        lambda memory, ttl: memory.increment("new", ttl=ttl),
        lambda memory, ttl: memory.set_many({"new": 1}, ttl=ttl),
        lambda memory, ttl: memory.touch("k", ttl),
        lambda memory, ttl: memory.append("k", 1, ttl=ttl),
    ],
    ids=["add", "update", "append", "increment", "set_many", "touch", "append to"],
)
@pytest.mark.parametrize("ttl", [0, -1, True, "60", math.nan], ids=repr)
def test_every_operation_refuses_an_invalid_ttl(memory, operation, ttl: Any):
    """C11: every operation with a ttl checks it, whether it would be used or not."""
    with pytest.raises(InvalidArgumentError, match=r"^ttl must be "):
        operation(memory, ttl)
    assert memory.list_keys() == ["k"]
    assert memory.get("k") == [0]


def test_touch_needs_a_ttl(memory):
    """touch() refuses None as ttl: for ever is NO_EXPIRY."""
    with pytest.raises(InvalidArgumentError, match="NO_EXPIRY, not NoneType"):
        memory.touch("k", None)


def test_repr_of_no_expiry():
    """repr(NO_EXPIRY) is "NO_EXPIRY", as it is written in code."""
    assert repr(NO_EXPIRY) == "NO_EXPIRY"


def test_default_ttl_applies_without_a_ttl():
    """C13: a new record gets its ttl, else default_ttl, else none; NO_EXPIRY overrides both."""
    config = MemoryConfig("memory", "memory://expiry-default", default_ttl=100)
    memory = Workflow("w", config).memory
    memory.set("default", 1)
    memory.set("own", 1, ttl=10)
    memory.set("ever", 1, ttl=NO_EXPIRY)
    assert memory.ttl("default") == pytest.approx(100, abs=1)
    assert memory.ttl("own") == pytest.approx(10, abs=1)
    assert memory.ttl("ever") == math.inf
    assert memory.ttl("absent") is None
