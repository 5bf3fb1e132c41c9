"""Which keys a scope has (C6, C14, C15)."""

import asyncio
from typing import Any

import pytest

from fibonacci import InvalidArgumentError, MemoryManager, ScopeError


def test_pattern_is_matched_like_fnmatchcase(memory: MemoryManager) -> None:
    """list_keys(pattern=...) matches the whole key like fnmatchcase (C15)."""
    for key in ("cache:1", "cache:20", "Cache:1", "other", "a[b", "a*b"):
        memory.set(key, 0)
    assert memory.list_keys(pattern="cache:*") == ["cache:1", "cache:20"]
    assert memory.list_keys(pattern="cache:?") == ["cache:1"]
    assert memory.list_keys(pattern="[cC]ache:1") == ["Cache:1", "cache:1"]
    assert memory.list_keys(pattern="[!c]*") == ["Cache:1", "a*b", "a[b", "other"]
    assert memory.list_keys(pattern="a[[]b") == ["a[b"]
    assert memory.list_keys(pattern="a[*]b") == ["a*b"]
    assert memory.list_keys(pattern="ther") == []
    assert memory.list_keys(pattern="") == []


def test_listing_of_several_pages_is_complete(memory: MemoryManager) -> None:
    """A listing of several pages is complete, sorted and without duplicates, sync and async."""
    keys = [f"k{number:05}" for number in range(2_500)]
    memory.set_many(dict.fromkeys(reversed(keys), 0))

    async def listed() -> tuple[list[str], list[str]]:
        return await memory.alist_keys(), [key async for key in memory.aiter_keys()]

    assert memory.list_keys() == keys
    assert list(memory.iter_keys()) == keys
    assert asyncio.run(listed()) == (keys, keys)
    assert list(memory.iter_keys("k0001*")) == keys[10:20]


def test_keys_may_be_deleted_during_iteration(memory: MemoryManager) -> None:
    """Keys may be deleted while iter_keys() iterates over them."""
    memory.set_many({f"k{number}": 0 for number in range(1_500)})
    assert sum(memory.delete(key) for key in memory.iter_keys()) == 1_500
    assert memory.list_keys() == []


@pytest.mark.parametrize("pattern", [1, b"a*", ["a"]])
def test_pattern_must_be_text(memory: MemoryManager, pattern: Any) -> None:
    """list_keys() and iter_keys() refuse a pattern that is not text when they are called."""
    with pytest.raises(InvalidArgumentError, match="pattern must be text"):
        memory.list_keys(pattern=pattern)
    with pytest.raises(InvalidArgumentError):
        memory.iter_keys(pattern)
    with pytest.raises(InvalidArgumentError):
        memory.aiter_keys(pattern)


def test_iter_keys_checks_the_scope_when_called(memory: MemoryManager) -> None:
    """iter_keys() refuses a wrong scope when it is called, not when it is iterated over (C4)."""
    with pytest.raises(ScopeError):
        memory.iter_keys(scope="usr")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ScopeError):
        memory.aiter_keys(scope="user")
