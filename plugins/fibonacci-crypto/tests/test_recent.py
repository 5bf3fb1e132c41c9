"""The table of what was used lately."""

from collections.abc import Callable
from threading import Thread

import pytest

from fibonacci_crypto.recent import Recent


@pytest.mark.parametrize("use", [lambda table: table.get("a"), lambda table: table.put("a", 9)])
def test_what_was_used_least_recently_goes(use: Callable[[Recent[str, int]], object]):
    """To be asked for, and to be put there anew, is use; to be looked for is none."""
    table: Recent[str, int] = Recent(3)
    for number, name in enumerate("abc"):
        table.put(name, number)
    use(table)
    assert "b" in table
    table.put("d", 4)
    assert [name in table for name in "abcd"] == [True, False, True, True]


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
    table: Recent[object, int] = Recent(8)
    table.put("k", 1)
    found = []

    def use() -> None:
        table.put(Name(lambda: found.append(table.get("k"))), 2)
        table.get(Name(lambda: table.put("l", 3)))
        found.append(table.get("l"))

    user = Thread(target=use, daemon=True)
    user.start()
    user.join(5)
    assert found == [1, 3]
