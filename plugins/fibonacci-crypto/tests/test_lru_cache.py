"""LRUCache: bounded, and evicting the least recently used entry."""

from collections.abc import Callable
from threading import Thread

from fibonacci_crypto.lru_cache import LRUCache


def cache_of(*names: str) -> LRUCache[str, int]:
    """Return a cache of three entries with these keys put in."""
    cache = LRUCache[str, int](3)
    for number, name in enumerate(names):
        cache.put(name, number)
    return cache


def stored_keys(cache: LRUCache[str, int]) -> set[str]:
    return {name for name in "abcd" if name in cache}


def test_oldest_entry_is_evicted_first():
    """A full cache evicts its oldest entry."""
    assert stored_keys(cache_of("a", "b", "c")) == {"a", "b", "c"}
    assert stored_keys(cache_of("a", "b", "c", "d")) == {"b", "c", "d"}


def test_get_marks_an_entry_as_used():
    """get() marks an entry as used."""
    cache = cache_of("a", "b", "c")
    assert cache.get("a") == 0
    cache.put("d", 9)
    assert stored_keys(cache) == {"a", "c", "d"}


def test_put_replaces_and_marks_an_entry_as_used():
    """put() replaces the value and marks the entry as used."""
    cache = cache_of("a", "b", "c", "a", "d")
    assert stored_keys(cache) == {"a", "c", "d"}
    assert cache.get("a") == 3


def test_contains_does_not_mark_an_entry_as_used():
    """``in`` does not mark an entry as used, and get() returns None for a missing one."""
    cache = cache_of("a", "b", "c")
    assert "a" in cache
    cache.put("d", 9)
    assert cache.get("a") is None
    assert stored_keys(cache) == {"b", "c", "d"}


class Name:
    """A key whose hash runs other code, as a signal handler may."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __hash__(self) -> int:
        act, self.act = self.act, lambda: None
        act()
        return 1


def test_lookup_during_a_lookup():
    """A thread may use the cache during its own lookup, as signal handlers do."""
    cache: LRUCache[object, int] = LRUCache(8)
    cache.put("k", 1)
    found = []

    def use() -> None:
        cache.put(Name(lambda: found.append(cache.get("k"))), 2)
        cache.get(Name(lambda: cache.put("l", 3)))
        found.append(cache.get("l"))

    user = Thread(target=use, daemon=True)
    user.start()
    user.join(60)
    assert found == [1, 3]
