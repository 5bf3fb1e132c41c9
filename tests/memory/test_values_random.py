"""Thousands of random JSON values: what is read equals what was set, exactly (C7)."""

import random
import struct
from typing import Any

import pytest

from fibonacci import MemoryConfig, ValueTooLargeError, Workflow

SPECIAL_FLOATS = [-0.0, 0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 0.1]
EDGES = [2**53, 2**63, 2**64, 127, 255, 32767, 65535, 2**31, 10**18]
PLANES = [(0, 0x7F), (0, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]


def whole(rng: random.Random) -> int:
    if rng.random() < 0.3:
        return rng.choice((1, -1)) * (rng.choice(EDGES) + rng.randint(-2, 2))
    bits = rng.choice((8, 16, 32, 63, 64, 65, 200, rng.randint(1, 14_000)))
    return rng.choice((1, -1)) * rng.getrandbits(bits)


def fraction(rng: random.Random) -> float:
    if rng.random() < 0.3:
        return rng.choice((1, -1)) * rng.choice(SPECIAL_FLOATS)
    (number,) = struct.unpack("<d", rng.randbytes(8))
    return number if number - number == 0 else 1e308


def text(rng: random.Random) -> str:
    characters = []
    for _ in range(rng.choice((0, 1, 3, 12, 40))):
        first, last = rng.choice(PLANES)
        characters.append(chr(rng.randint(first, last)))
    return "".join(characters)


def value(rng: random.Random, depth: int = 4) -> Any:
    kind = rng.random()
    if kind < 0.1:
        return rng.choice((None, True, False))
    if kind < 0.25:
        return whole(rng)
    if kind < 0.4:
        return fraction(rng)
    if kind < 0.55 or not depth:
        return text(rng)
    size = rng.choice((0, 1, 2, 5))
    if kind < 0.78:
        return [value(rng, depth - 1) for _ in range(size)]
    return {text(rng): value(rng, depth - 1) for _ in range(size)}


def deep(rng: random.Random) -> Any:
    """A random value inside so many containers that all together nest up to 254 deep."""
    inside = value(rng)
    for _ in range(rng.randint(1, 250)):
        inside = [inside] if rng.random() < 0.5 else {text(rng): inside}
    return inside


@pytest.fixture
def memory():
    """A memory of its own."""
    with Workflow("random values", MemoryConfig("memory", "memory://random-values")) as workflow:
        yield workflow.memory
        workflow.memory.clear()


def differing(memory, values: list[Any]) -> list[int]:
    """Which of the values come back other than they went in; repr tells 1, 1.0 and True apart."""
    wrong = []
    for number, one in enumerate(values):
        memory.set("k", one)
        got = memory.get("k")
        if got != one or repr(got) != repr(one):
            wrong.append(number)
    return wrong


@pytest.mark.parametrize(
    "seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 10))]
)
def test_1_000_random_values_are_read_exactly(memory, seed: int):
    """Random values are read exactly: huge ints, all floats, all of Unicode, the order of keys."""
    rng = random.Random(seed)
    assert differing(memory, [value(rng) for _ in range(950)]) == []
    assert differing(memory, [one for _ in range(50) if (one := deep(rng))]) == []


def test_random_values_have_all_types():
    """The generator of random values reaches all types."""
    rng = random.Random(0)
    values = repr([value(rng) for _ in range(950)])
    assert "-0.0" in values
    assert "5e-324" in values
    assert any(len(digits) > 3000 for digits in values.split(", "))
    assert max(values) > "\uffff"
    assert max(repr(deep(rng)).count("[") for _ in range(50)) > 100


LIMIT = 16 * 2**20


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("x" * (LIMIT - 2), LIMIT),
        ("é" * (LIMIT // 2 - 1), LIMIT),
        ([2**64, "x" * (LIMIT - 26)], LIMIT),
    ],
    ids=["ASCII", "UTF-8", "exact"],
)
def test_value_of_16_mib_is_stored(memory, value: Any, size: int):
    """C7: a value of exactly 16 MiB as JSON is stored."""
    memory.set("k", value)
    assert memory.get("k") == value


@pytest.mark.parametrize(
    "value",
    ["x" * (LIMIT - 1), "é" * (LIMIT // 2), [2**64, "x" * (LIMIT - 25)]],
    ids=["ASCII", "UTF-8", "exact"],
)
def test_value_over_16_mib_is_refused_with_both_sizes(memory, value: Any):
    """C7: a value over 16 MiB raises ValueTooLargeError with both sizes; the old value stays."""
    memory.set("k", "old")
    with pytest.raises(ValueTooLargeError, match=r"16,777,21[78] bytes.*16,777,216"):
        memory.set("k", value)
    assert memory.get("k") == "old"
