"""Patterns: ``fnmatch.fnmatchcase`` on the logical key, whatever the backend (C15)."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci import InvalidArgumentError, MemoryConfig, Workflow
from fibonacci._memory.operations.listing import compile_pattern, literal_prefix

letters = st.text("ab*?[]!-\\^:.\n{}é", max_size=8)


@given(letters, letters)
@settings(max_examples=500, deadline=None)
def test_pattern_matches_like_fnmatchcase(pattern: str, key: str):
    """C15: compile_pattern() matches like fnmatchcase: no server's dialect, no case folding."""
    assert bool(compile_pattern(pattern)(key)) is fnmatchcase(key, pattern)


@given(letters, letters)
@settings(max_examples=300, deadline=None)
def test_matching_keys_start_with_the_literal_prefix(pattern: str, key: str):
    """Every key that matches starts with literal_prefix(), so that a backend may list by it."""
    if fnmatchcase(key, pattern):
        assert key.startswith(literal_prefix(pattern))


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        (None, ""),
        ("", ""),
        ("*", ""),
        ("cache:*", "cache:"),
        ("a?b", "a"),
        ("a[bc]", "a"),
        ("a]b", "a]b"),
        ("a\\*", "a\\"),
        ("plain", "plain"),
    ],
)
def test_literal_prefix_ends_at_the_first_wildcard(pattern: str | None, start: str):
    """literal_prefix() returns everything before the first of ``*``, ``?`` and ``[``."""
    assert literal_prefix(pattern) == start


@pytest.fixture
def memory():
    """A memory with keys that patterns are about."""
    with Workflow("w", MemoryConfig("memory", "memory://patterns")) as workflow:
        workflow.memory.clear()
        for key in KEYS:
            workflow.memory.set(key, 1)
        yield workflow.memory


KEYS = [
    "A",
    "a",
    "a*",
    "a\\b",
    "a\nb",
    "ab",
    "b",
    "cache:",
    "cache:1",
    "cache:a:b",
    "é",
    "[a]",
    "%_",
]


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (None, sorted(KEYS)),
        ("*", sorted(KEYS)),
        ("", []),
        ("cache:*", ["cache:", "cache:1", "cache:a:b"]),
        ("cache:?", ["cache:1"]),
        ("a", ["a"]),
        ("a?", ["a*", "ab"]),
        ("a[*]", ["a*"]),
        ("a*", ["a", "a\nb", "a*", "a\\b", "ab"]),
        ("a\\*", ["a\\b"]),
        ("[[]a]", ["[a]"]),
        ("[!a]", ["A", "b", "é"]),
        ("%_", ["%_"]),
        ("a%", []),
        ("?", ["A", "a", "b", "é"]),
        ("[", []),
        ("a|b", []),
        (".*", []),
    ],
)
def test_every_listing_by_pattern_agrees(memory, pattern: str | None, keys: list[str]):
    """C14, C15: every way to list returns the keys that match, sorted by code point."""
    assert memory.list_keys(pattern=pattern) == sorted(keys)
    assert list(memory.iter_keys(pattern)) == sorted(keys)


@pytest.mark.parametrize(
    "pattern", [1, b"a*", ["a*"], True, object()], ids=lambda p: type(p).__name__
)
def test_pattern_that_is_not_text_is_refused(memory, pattern: Any):
    """A pattern that is not text is refused at once, before the first page."""
    message = rf"^pattern must be text such as 'cache:\*', not {type(pattern).__name__}$"
    with pytest.raises(InvalidArgumentError, match=message):
        memory.list_keys(pattern=pattern)
    with pytest.raises(InvalidArgumentError, match=message):
        memory.iter_keys(pattern)


@pytest.mark.parametrize("pattern", ["\0", "\ud800*", "x" * 2_000, "[" * 1_000, "*" * 1_000])
def test_pattern_without_a_possible_key_matches_nothing(memory, pattern: str):
    """A pattern that no key can match is accepted, and matches nothing, quickly."""
    expected = sorted(KEYS) if set(pattern) == {"*"} else []
    assert memory.list_keys(pattern=pattern) == expected


def test_too_long_pattern_is_refused(memory):
    """A pattern that would take seconds to compile is refused."""
    with pytest.raises(InvalidArgumentError, match=r"has 2,001 characters; it may have 2,000"):
        memory.list_keys(pattern="[" * 2_001)


def test_pattern_does_not_backtrack(memory):
    """A pattern of many stars against a long key is matched at once."""
    memory.set("a" * 1_000, 1)
    assert memory.list_keys(pattern="*a" * 100 + "b") == []
