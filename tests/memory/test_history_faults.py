"""Histories when requests fail: nothing is lost or doubled, wherever a writer stops."""

from collections.abc import Callable
from typing import Any

import pytest

from fibonacci import (
    NO_EXPIRY,
    BackendUnavailableError,
    ConflictError,
    History,
    OutcomeUnknownError,
    StorageError,
)

from .stopping_store import LONG, FullHistory, Killed

SAID = [f"{number}" for number in range(14)]

Act = Callable[[History], object]

ACTS: dict[str, tuple[Act, dict[str, Any], list[str]]] = {
    "add": (lambda h: h.add(user="new", assistant=LONG), {}, [*SAID, "new"]),
    "add with ttl": (lambda h: h.add(user="new", assistant=LONG), {"ttl": 900}, [*SAID, "new"]),
    "big turn": (lambda h: h.add(user="new", assistant=LONG * 9), {}, [*SAID, "new"]),
    "drop": (
        lambda h: h.add(user="new", assistant=LONG, max_turns=5),
        {"max_turns": 8},
        [*SAID[-4:], "new"],
    ),
    "touch": (lambda h: h.touch(500), {"ttl": 900}, SAID),
    "compact": (lambda h: h.compact(lambda m: "sum", keep_tokens=500), {}, SAID),
    "clear": (lambda h: h.clear(), {}, []),
}
"""What is done, how the history was filled, and what it has afterwards."""


def boundaries(act: Act, options: dict[str, Any]) -> list[tuple[str, int]]:
    """Return each point before and after a request of an action."""
    full = FullHistory(**options)
    full.store.requests.clear()
    act(full.history)
    requests = full.store.requests.copy()
    assert len(requests) >= 2
    return [(when, n + 1) for n in range(len(requests)) for when in ("before", "after")]


@pytest.mark.parametrize("name", ACTS)
def test_process_that_is_killed(name: str) -> None:
    """Wherever a process is killed, the history has what it had, with or without the new turn."""
    act, options, expected = ACTS[name]
    for when, number in boundaries(act, options):
        full = FullHistory(**options)
        before = full.said()
        full.store.requests.clear()

        def kill(now: str, count: int, point: tuple[str, int] = (when, number)) -> None:
            if (now, count) == point:
                raise Killed

        full.store.on_request = kill
        with pytest.raises(Killed):
            act(full.history)
        full.store.on_request = lambda when, number: None
        assert full.said() in (before, expected)
        was_done = full.said() == expected
        left = [full.memory.ttl(key, "user", "ada") or 0 for key in full.list_keys()]
        assert all(left[0] <= each for each in left)
        for more in range(10):
            full.history.add(user=f"more {more}", assistant=LONG)
        done = [*(expected if was_done else before), *(f"more {more}" for more in range(10))]
        assert full.said() == done, (when, number)
        full.history.clear()
        assert full.list_keys() == []


@pytest.mark.parametrize("name", [name for name in ACTS if name != "clear"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_lost_responses(name: str, when: str) -> None:
    """If the response to any write is lost, applied or not, what was asked is done once."""
    act, options, expected = ACTS[name]
    lost = 0
    for point in boundaries(act, options):
        if point[0] != when:
            continue
        full = FullHistory(**options)

        def lose(
            now: str, count: int, point: tuple[str, int] = point, full: FullHistory = full
        ) -> None:
            nonlocal lost
            is_write = full.store.requests[count - 1] == "compare_and_set"
            if (now, count) == point and is_write:
                lost += 1
                raise OutcomeUnknownError("lost")

        full.store.on_request = lose
        assert act(full.history) is True
        full.store.on_request = lambda when, number: None
        assert full.said() == expected, point
    assert lost >= 1


def test_response_that_stays_lost() -> None:
    """If the history can't be read after a lost response, the outcome is reported as unknown."""
    full = FullHistory()
    full.time_out_after(0.5)

    def lose(when: str, number: int) -> None:
        if full.store.requests[number - 1] == "compare_and_set" and when == "after":
            full.store.on_request = fail
            raise OutcomeUnknownError("lost")

    def fail(when: str, number: int) -> None:
        raise BackendUnavailableError("down")

    full.history.add(user="x")
    full.store.on_request = lose
    with pytest.raises(OutcomeUnknownError, match="lost"):
        full.history.add(user="new")
    full.store.on_request = lambda when, number: None
    assert full.said().count("new") == 1


@pytest.mark.parametrize("is_new", [False, True])
def test_request_that_arrives_late(is_new: bool) -> None:
    """A request that is applied after its writer has tried again adds no second turn."""
    full = FullHistory()
    if is_new:
        full.history.clear()
    late: list[Callable[[], object]] = []
    applied: list[object] = []

    def lose(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            if late:
                full.store.on_request = lambda when, number: None
                applied.append(late.pop()())
            else:
                late.append(full.store.latest)
                raise OutcomeUnknownError("lost")

    full.store.on_request = lose
    assert full.history.add(user="new") is True
    assert applied == [True]
    assert full.said().count("new") == 1


def test_racing_writers_share_a_page() -> None:
    """A writer that finds its page written by another one goes on with that."""
    full = FullHistory()

    def race(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            full.memory.history("chat", user_id="ada").add(user="first", assistant=LONG)

    full.store.on_request = race
    full.history.add(user="second", assistant=LONG)
    assert full.said() == [*SAID, "first", "second"]


@pytest.mark.parametrize("others", [1, 3, 30])
def test_page_with_fewer_turns(others: int) -> None:
    """A page was written when the head had fewer turns: it is used as it is, and no turn is lost.

    A large turn empties the head, and other writers come between page and head.
    """
    full = FullHistory()
    full.history.clear()
    full.history.add(user="small")

    def race(when: str, number: int) -> None:
        if when == "after" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            for number in range(others):
                full.memory.history("chat", user_id="ada").add(
                    user=f"{number}", assistant="x" * 300
                )

    full.store.on_request = race
    full.history.add(user="large", assistant=LONG * 9)
    assert full.said() == ["small", *(f"{number}" for number in range(others)), "large"]


def test_page_with_more_turns() -> None:
    """A page was written when the head had more turns than this writer knows: it reads again."""
    full = FullHistory()
    full.history.clear()
    full.history.add(user="small")

    def race(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            other = full.memory.history("chat", user_id="ada")
            other.add(user="next")
            other.add(user="first", assistant=LONG * 9)

    full.store.on_request = race
    full.history.add(user="second", assistant=LONG * 9)
    assert full.said() == ["small", "next", "first", "second"]


def test_touch_while_a_page_is_written() -> None:
    """A page that is written while the ttl is renewed gets the new ttl, too."""
    full = FullHistory(ttl=900)
    other = full.memory.history("chat", user_id="ada")

    def touch(when: str, number: int) -> None:
        if when == "after" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            assert other.touch(5_000)

    full.store.on_request = touch
    full.history.add(user="new", assistant=LONG)
    left = [full.memory.ttl(key, "user", "ada") or 0 for key in full.list_keys()]
    assert len(left) > 3
    assert all(4_900 < left[0] <= each for each in left)


def test_clear_while_it_is_read() -> None:
    """A reader whose pages were removed meanwhile reads the history again."""
    full = FullHistory()

    def clear(when: str, number: int) -> None:
        full.store.on_request = lambda when, number: None
        other = full.memory.history("chat", user_id="ada")
        other.clear()
        other.add(user="new")

    full.store.on_request = lambda when, number: clear(when, number) if when == "after" else None
    assert full.history.messages() == [{"role": "user", "content": "new"}]


def test_clear_spares_a_new_history() -> None:
    """A history that begins while the old one is cleared keeps all its records."""
    full = FullHistory()

    def begin(when: str, number: int) -> None:
        if when == "after" and full.store.requests[number - 1] == "remove":
            full.store.on_request = lambda when, number: None
            for turn in range(10):
                full.memory.history("chat", user_id="ada").add(user=f"{turn}", assistant=LONG)

    full.store.on_request = begin
    full.history.clear()
    assert full.said() == [f"{turn}" for turn in range(10)]
    full.history.clear()
    assert full.list_keys() == []


def test_failed_removal_of_old_pages() -> None:
    """If the removal of old pages fails, the turn was added all the same, and no error says not."""
    full = FullHistory()
    full.memory.delete("chat", "user", "ada")
    left = full.list_keys()
    assert left

    def fail(when: str, number: int) -> None:
        if full.store.requests[number - 1] == "scan":
            raise StorageError("no permission")

    full.store.on_request = fail
    assert full.history.add(user="new") is True
    full.store.on_request = lambda when, number: None
    assert full.said() == ["new"]
    assert full.list_keys() == ["chat", *left]
    full.history.clear()
    assert full.list_keys() == []


def test_history_that_is_cleared_while_its_ttl_is_renewed() -> None:
    """touch() finds no history if it is cleared meanwhile, and raises nothing."""
    full = FullHistory()
    other = full.memory.history("chat", user_id="ada")

    def interfere(when: str, number: int) -> None:
        if when == "after" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            for turn in range(10):
                other.add(user=f"{turn}", assistant=LONG)
            full.store.on_request = clear

    def clear(when: str, number: int) -> None:
        if when == "after" and full.store.requests[number - 1] == "read":
            full.store.on_request = lambda when, number: None
            other.clear()

    full.store.on_request = interfere
    assert full.history.touch(60) is False


def test_writers_that_always_win() -> None:
    """If other writers win until the deadline, the turn is not added, and the error says so."""
    full = FullHistory()
    full.time_out_after(0.3)
    others: list[int] = []

    def win(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            others.append(number)
            full.memory.history("chat", user_id="ada").add(user="other")
            full.store.on_request = win

    full.store.on_request = win
    with pytest.raises(ConflictError):
        full.history.add(user="new")
    full.store.on_request = lambda when, number: None
    assert full.said() == [*SAID, *["other"] * len(others)]


def test_head_with_another_ttl() -> None:
    """A head that memory.touch keeps for ever gets pages without a ttl from then on."""
    full = FullHistory(ttl=900)
    full.memory.touch("chat", NO_EXPIRY, "user", "ada")
    known = full.list_keys()
    full.history.add(user="new", assistant=LONG)
    (new,) = set(full.list_keys()) - set(known)
    assert full.memory.ttl(new, "user", "ada") == float("inf")


def test_page_that_expires_while_it_is_found() -> None:
    """A page that vanishes between two requests of its writer is written again."""
    full = FullHistory()
    page = ""
    deleted: list[bool] = []

    def race(when: str, number: int) -> None:
        request = full.store.requests[number - 1]
        if (when, request) == ("after", "compare_and_set") and not page:
            remember()
            raise OutcomeUnknownError("lost")
        if (when, request) == ("after", "read") and full.store.is_about_page:
            full.store.on_request = lambda when, number: None
            deleted.append(full.memory.delete(page, "user", "ada"))

    def remember() -> None:
        nonlocal page
        on_request, full.store.on_request = full.store.on_request, lambda when, number: None
        page = full.list_keys()[-1]
        full.store.on_request = on_request

    full.store.on_request = race
    assert full.history.add(user="new", assistant=LONG)
    assert deleted == [True]
    assert full.said() == [*SAID, "new"]
