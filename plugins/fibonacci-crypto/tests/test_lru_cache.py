"""The table that forgets: of bounded size, and what was used least recently goes first."""

from collections.abc import Callable
from threading import Thread

from fibonacci_crypto.lru_cache import LRUCache


def table(*names: str) -> LRUCache[str, int]:
    """A table for three, with these put in."""
    cache = LRUCache[str, int](3)
    for number, name in enumerate(names):
        cache.put(name, number)
    return cache


def kept(cache: LRUCache[str, int]) -> set[str]:
    return {name for name in "abcd" if name in cache}


def test_the_oldest_goes_first():
    """Three stay."""
    assert kept(table("a", "b", "c")) == {"a", "b", "c"}
    assert kept(table("a", "b", "c", "d")) == {"b", "c", "d"}


def test_what_was_asked_for_stays():
    """To get is to use."""
    cache = table("a", "b", "c")
    assert cache.get("a") == 0
    cache.put("d", 9)
    assert kept(cache) == {"a", "c", "d"}


def test_what_was_put_again_stays():
    """To put is to use, and the entry is the new one."""
    cache = table("a", "b", "c", "a", "d")
    assert kept(cache) == {"a", "c", "d"}
    assert cache.get("a") == 3


def test_to_look_is_not_to_use():
    """``in`` changes nothing, and what is not there is None."""
    cache = table("a", "b", "c")
    assert "a" in cache
    cache.put("d", 9)
    assert cache.get("a") is None
    assert kept(cache) == {"b", "c", "d"}


class Name:
    """A name that does something else while it is looked up, as a signal's handler may."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __hash__(self) -> int:
        act, self.act = self.act, lambda: None
        act()
        return 1


def test_a_look_up_amid_a_look_up():
    """The thread that has the table in hand may use it: it does not wait for itself."""
    table: LRUCache[object, int] = LRUCache(8)
    table.put("k", 1)
    found = []

    def use() -> None:
        table.put(Name(lambda: found.append(table.get("k"))), 2)
        table.get(Name(lambda: table.put("l", 3)))
        found.append(table.get("l"))

    user = Thread(target=use, daemon=True)
    user.start()
    user.join(60)
    assert found == [1, 3]
