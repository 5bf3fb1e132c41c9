"""Histories under interleavings of writers, readers, clear() and touch()."""

import asyncio
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from time import sleep
from typing import Any

import pytest

from fibonacci import (
    NO_EXPIRY,
    BackendUnavailableError,
    ConflictError,
    CorruptRecordError,
    History,
    InvalidArgumentError,
    MemoryConfig,
    MemoryManager,
    OutcomeUnknownError,
    StorageError,
    ValueTooLargeError,
    Workflow,
)
from fibonacci._memory.store_handle import stores_of

from .stopping_store import LONG, FullHistory, Killed, kill

SAID = [f"{number}" for number in range(14)]

LIST = [{"user": f"{number}", "assistant": "y" * 400} for number in range(40)]
"""A list that becomes a history with pages."""


def empty(**options: Any) -> FullHistory:
    """Return a history without turns."""
    full = FullHistory(**options)
    full.history.clear()
    full.store.requests.clear()
    return full


def other(full: FullHistory) -> History:
    """Return the same history for another writer."""
    return full.memory.history("chat", user_id="ada")


def ttls(full: FullHistory) -> list[float]:
    """Return what the records have left, the head first."""
    return [full.memory.ttl(key, "user", "ada") or 0 for key in full.list_keys()]


@pytest.fixture(autouse=True)
def no_pending_interruption() -> Iterator[None]:
    """Fail if an interruption that a test is about has not come about."""
    FullHistory.pending.clear()
    yield
    assert FullHistory.pending == []


def test_two_writers_with_one_id() -> None:
    """Of two writers with one id, the one whose turn is there returns True, the other False."""
    full = empty()
    won: list[bool] = []
    full.interrupt(
        "before", "compare_and_set", lambda: won.append(other(full).add(user="other", id="r"))
    )
    assert full.history.add(user="mine", id="r") is False
    assert won == [True]
    assert full.said() == ["other"]


def test_lost_response_and_another_writer_with_the_id() -> None:
    """A writer without a response returns False if the turn with its id is another's."""
    full = empty()
    full.history.add(user="first")

    def lose() -> None:
        other(full).add(user="other", id="r")
        raise OutcomeUnknownError("lost")

    full.interrupt("before", "compare_and_set", lose)
    assert full.history.add(user="mine", id="r") is False
    assert full.said() == ["first", "other"]


def test_disproved_attempt() -> None:
    """A turn that certainly was not added is added, whatever other writers have dropped since."""
    full = empty()
    full.history.add(user="0", max_turns=1)

    def overtake() -> None:
        other(full).add(user="1", max_turns=1)
        full.interrupt("before", "compare_and_set", overtake_again)
        raise OutcomeUnknownError("lost")

    def overtake_again() -> None:
        for name in "23":
            other(full).add(user=name, max_turns=1)

    full.interrupt("before", "compare_and_set", overtake)
    assert full.history.add(user="mine", max_turns=1) is True
    assert full.said() == ["mine"]


def test_large_turn_beside_max_turns() -> None:
    """A large turn that another writer overtakes leaves no page that later turns contradict."""
    full = empty()
    for number in range(6):
        full.history.add(user=f"{number}", assistant="x" * 1_000, max_turns=4)
    full.interrupt(
        "before",
        "compare_and_set",
        lambda: other(full).add(user="other", assistant="x" * 1_000, max_turns=4),
        pages=False,
    )
    assert full.history.add(user="large", assistant="y" * 12_000, max_turns=4)
    for number in range(7, 30):
        full.history.add(user=f"{number}", assistant="x" * 1_000)
    assert full.said() == ["4", "5", "other", "large", *(f"{number}" for number in range(7, 30))]


@pytest.mark.parametrize("head_writes", [1, 2, 3])
def test_large_turn_of_a_killed_writer(head_writes: int) -> None:
    """A writer that is killed while a large turn empties the head leaves a history that goes on."""
    full = empty()
    for number in range(6):
        full.history.add(user=f"{number}", assistant="x" * 1_000)
    left = head_writes

    def count(when: str, number: int) -> None:
        nonlocal left
        if when == "before" and full.store.is_head_written():
            left -= 1
            if left == 0:
                kill()

    full.store.on_request = count
    with suppress(Killed):
        full.history.add(user="large", assistant="y" * 12_000)
    full.go_on()
    assert full.said()[:6] == [f"{number}" for number in range(6)]
    added = full.said()[6:]
    full.history.add(user="small", assistant="x" * 1_000, max_turns=4)
    for number in range(30):
        full.history.add(user=f"more {number}", assistant="x" * 1_000)
    kept = [f"{number}" for number in range(3 + len(added), 6)]
    assert full.said() == [*kept, *added, "small", *(f"more {number}" for number in range(30))]


def test_page_of_a_history_that_is_cleared_meanwhile() -> None:
    """A page that is stored after its history was cleared, and begun again, is removed."""
    full = FullHistory()

    def begin_again() -> None:
        other(full).clear()
        other(full).add(user="new")

    full.interrupt("before", "compare_and_set", begin_again, pages=True)
    assert full.history.add(user="mine", assistant=LONG)
    assert full.said() == ["new", "mine"]
    assert full.list_keys() == ["chat"]


def test_reader_of_turns_that_are_dropped_meanwhile() -> None:
    """A reader whose pages max_turns removes meanwhile reads the history again."""
    full = FullHistory()

    def drop() -> None:
        for number in range(3):
            other(full).add(user=f"new {number}", assistant=LONG, max_turns=3)

    full.interrupt("before", "read_many", drop)
    assert full.said() == [f"new {number}" for number in range(3)]


def test_page_that_others_change_each_time() -> None:
    """touch() gives up if other callers change a page each time."""
    full = FullHistory(ttl=600)
    full.time_out_after(0.3)
    page = full.list_keys()[1]
    marks: list[str] = []

    def mark(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            full.store.on_request = lambda when, number: None
            marks.append(f"mark {number}")
            full.memory.update(page, lambda found: found | {"mark": marks[-1]}, None, "user", "ada")
            full.store.on_request = mark

    full.store.on_request = mark
    with pytest.raises(ConflictError):
        full.history.touch(800)
    assert len(marks) >= 2


lost_writes = pytest.mark.parametrize(
    ("pages", "size", "expected"),
    [
        (True, 1_500, BackendUnavailableError),
        (False, 12_000, BackendUnavailableError),
        (False, 1_500, OutcomeUnknownError),
    ],
    ids=["page", "head with a page less", "head with the turn"],
)
"""Which responses are lost, and the error: the outcome is only unknown if the turn was written."""


@lost_writes
def test_backoff_while_responses_are_lost(pages: bool, size: int, expected: Any) -> None:
    """A writer whose responses are lost backs off until its deadline.

    The outcome is only unknown if the turn was in what it wrote.
    """
    full = FullHistory()
    full.time_out_after(0.5)

    def lose(when: str, number: int) -> None:
        is_write = full.store.requests[number - 1] == "compare_and_set"
        if when == "before" and is_write and full.store.is_about_page == pages:
            raise OutcomeUnknownError("lost")

    full.store.on_request = lose
    with pytest.raises(expected):
        full.history.add(user="x", assistant="x" * size)
    assert 2 <= full.store.requests.count("compare_and_set") < 200
    full.go_on()
    assert full.said() == SAID


@lost_writes
def test_response_is_lost_until_the_deadline(pages: bool, size: int, expected: Any) -> None:
    """A writer that waits for a lost response until its deadline writes nothing more."""
    full = FullHistory()
    full.time_out_after(0.5)

    def lose(when: str, number: int) -> None:
        is_write = full.store.requests[number - 1] == "compare_and_set"
        if when == "before" and is_write and full.store.is_about_page == pages:
            full.go_on()
            sleep(0.5)
            full.store.requests.clear()
            raise OutcomeUnknownError("lost")

    full.store.on_request = lose
    with pytest.raises(expected):
        full.history.add(user="x", assistant="x" * size)
    assert "compare_and_set" not in full.store.requests
    assert full.said() == SAID


def test_page_that_is_there_before_the_deadline() -> None:
    """A writer that finds its page there goes on at once: it waits for no other writer."""
    full = FullHistory()
    full.time_out_after(0.5)

    def lose() -> None:
        full.interrupt("before", "compare_and_set", lambda: sleep(0.5), pages=True)
        raise OutcomeUnknownError("lost")

    full.interrupt("before", "compare_and_set", lose, pages=False)
    assert full.history.add(user="x", assistant=LONG) is True
    assert full.said() == [*SAID, "x"]


def test_error_after_a_disproved_attempt() -> None:
    """An attempt that was disproved makes no later error an unknown outcome."""
    full = FullHistory()

    def overtake() -> None:
        other(full).add(user="other")
        full.interrupt("before", "compare_and_set", refuse, pages=True)
        raise OutcomeUnknownError("lost")

    def refuse() -> None:
        raise StorageError("no permission")

    full.history.add(user="14", assistant=LONG)
    full.interrupt("before", "compare_and_set", overtake, pages=False)
    with pytest.raises(StorageError, match="no permission") as caught:
        full.history.add(user="mine", assistant=LONG * 3)
    assert not isinstance(caught.value, OutcomeUnknownError)


def drop_and_lose(full: FullHistory) -> None:
    """Have other writers drop the turn that was just added; its response is lost."""
    for number in range(3):
        other(full).add(user=f"other {number}", max_turns=3)
    raise OutcomeUnknownError("lost")


def test_lost_response_of_a_dropped_turn_with_an_id() -> None:
    """A turn that was added, and dropped by other writers since, is known by its id."""
    full = empty()
    full.history.add(user="first")
    full.interrupt("after", "compare_and_set", lambda: drop_and_lose(full))
    assert full.history.add(user="mine", id="r") is True
    assert full.said() == ["other 0", "other 1", "other 2"]


def test_turn_that_is_too_large_leaves_the_head_as_it_was() -> None:
    """A turn that no record has room for moves no older turns."""
    full = FullHistory()
    keys = full.list_keys()
    with pytest.raises(ValueTooLargeError):
        full.history.add(user="x" * (2**24 - 100))
    assert full.list_keys() == keys


def test_removal_of_old_pages_reads_the_head_again() -> None:
    """Old pages are removed by what the head says then, not by what it said before."""
    full = empty()
    removals = 0
    for number in range(6):
        full.history.add(user=f"{number}", assistant="x" * 3_000, max_turns=5)
    for number in range(6, 40):
        full.interrupt(
            "before",
            "scan",
            lambda: other(full).add(user="big", assistant="y" * 9_000, max_turns=5),
        )
        full.history.add(user=f"{number}", assistant="s" * 100, max_turns=5)
        removals += not FullHistory.pending
        full.go_on()
        assert len(full.said()) == full.history.count() == 5


def test_page_of_a_killed_writer_removes_no_other_page() -> None:
    """A page that a killed writer left does not make another page look older than it is."""
    full = empty()
    for number in range(10):
        full.history.add(user=f"{number}", assistant="x" * 300)
    full.interrupt("after", "compare_and_set", kill, pages=True)
    with pytest.raises(Killed):
        full.history.add(user="killed", assistant="x" * 9_000, max_turns=8)
    for number in range(10, 30):
        full.history.add(user=f"{number}", assistant="x" * 300)
    for count in range(30, 120):
        full.history.add(user=f"{count}", assistant="x" * 300, max_turns=count + 1 - 4)
        assert full.said() == [f"{number}" for number in range(4, count + 1)]


def test_page_of_a_killed_writer_with_max_turns() -> None:
    """A page that is found has the same pages before it, whichever writer wrote it."""
    full = FullHistory()
    full.interrupt("after", "compare_and_set", kill, pages=True)
    with pytest.raises(Killed):
        full.history.add(user="killed", assistant=LONG, max_turns=5)
    for number in range(14, 300):
        full.history.add(user=f"{number}", assistant=LONG)
    assert full.said() == [f"{number}" for number in range(300)]
    assert [turn.number for turn in full.history.turns(100, 50)] == list(range(50, 100))


def test_failed_touch_leaves_pages_as_long_as_the_head() -> None:
    """If touch() with a shorter ttl fails half-way, every page lives longer than the head."""
    full = FullHistory(ttl=3_600)
    full.time_out_after(0.5)

    def fail(when: str, number: int) -> None:
        is_head = not full.store.is_about_page
        if full.store.requests[number - 1] == "compare_and_set" and is_head:
            raise BackendUnavailableError("down")

    full.store.on_request = fail
    with pytest.raises(BackendUnavailableError):
        full.history.touch(1)
    full.go_on()
    head, *pages = ttls(full)
    assert head > 3_500
    assert all(page > head for page in pages)


@pytest.mark.parametrize(
    ("first", "second"), [(3_600, 300), (300, 3_600), (20_000, 300), (300, 20_000)]
)
def test_concurrent_touches(first: int, second: int) -> None:
    """Of two new ttls one is the last, and every page lives longer than the head."""
    for pages in (True, False):
        full = FullHistory(ttl=600)
        full.interrupt(
            "before",
            "compare_and_set",
            lambda full=full: other(full).touch(second),  # type: ignore[misc]
            pages=pages,
        )
        assert full.history.touch(first)
        head, *left = ttls(full)
        assert first - 10 < head <= first
        assert all(head < page <= head + 3_601 for page in left)


def test_touch_while_a_writer_finds_its_page() -> None:
    """A writer that finds its page there does not shorten what another caller gave it."""
    full = FullHistory(ttl=300)

    def race() -> None:
        other(full).add(user="B", assistant=LONG)
        full.interrupt("after", "remaining_ttl_ms", lambda: other(full).touch(20_000), pages=True)

    full.interrupt("before", "compare_and_set", race, pages=True)
    full.history.add(user="A", assistant=LONG)
    head, *pages = ttls(full)
    assert head > 19_000
    assert [page for page in pages if page <= head] == []


def test_shorter_touch_after_a_longer_one() -> None:
    """A caller that shortens the ttl of pages spares those that another one has extended since."""
    full = FullHistory(ttl=50_000)
    rounds: list[str] = []

    def race(when: str, number: int) -> None:
        is_head = not full.store.is_about_page
        if when == "after" and full.store.requests[number - 1] == "compare_and_set" and is_head:
            full.go_on()
            rounds.append("long")
            assert other(full).touch(90_000)

    full.store.on_request = race
    assert full.history.touch(300)
    head, *pages = ttls(full)
    assert rounds == ["long"]
    assert head > 89_000
    assert all(page > head for page in pages)


def test_ttl_that_others_change_each_time() -> None:
    """touch() gives up if other callers change the ttl each time."""
    full = FullHistory(ttl=600)

    def touch(when: str, number: int) -> None:
        is_head = not full.store.is_about_page
        if full.store.requests[number - 1] == "compare_and_set" and when == "before" and is_head:
            full.go_on()
            assert other(full).touch(700)
            full.store.on_request = touch

    full.store.on_request = touch
    with pytest.raises(ConflictError, match="other callers changed it each time"):
        full.history.touch(800)


def test_history_that_is_cleared_between_pages_and_head() -> None:
    """touch() returns False if the history is cleared once its pages are renewed."""
    full = FullHistory(ttl=600)
    full.interrupt("before", "compare_and_set", lambda: other(full).clear(), pages=False)
    assert full.history.touch(800) is False
    assert full.list_keys() == []


def test_history_that_is_cleared_after_its_ttl_was_set() -> None:
    """touch() returns True if the history is cleared right after that."""
    full = FullHistory(ttl=600)
    for number in range(300):
        full.history.add(user=f"{number}", assistant=LONG)
    full.interrupt("after", "compare_and_set", lambda: other(full).clear(), pages=False)
    assert full.history.touch(300) is True
    assert full.list_keys() == []


def test_new_generation_for_each_attempt() -> None:
    """A turn that is added again after a clear() does not bring back what was cleared."""
    full = empty()

    def lose() -> None:
        for number in range(12):
            other(full).add(user=f"old {number}", assistant="x" * 1_000)
        full.interrupt("before", "read", lambda: full.memory.delete("chat", "user", "ada"))
        raise OutcomeUnknownError("lost")

    full.interrupt("after", "compare_and_set", lose)
    assert full.history.add(user="mine")
    for number in range(40):
        full.history.add(user=f"new {number}", assistant="x" * 100)
    assert full.said() == ["mine", *(f"new {number}" for number in range(40))]


def test_head_that_was_set_back() -> None:
    """A head that somebody set back to an older state is reported, and does not hang a writer."""
    full = empty(timeout=5)
    full.history.add(user="a")
    old = full.memory.get("chat", "user", "ada")
    for name, size in (("b", 1), ("c", 1), ("x", 9_000)):
        full.history.add(user=name * size)
    full.memory.set("chat", old, "user", "ada")
    with pytest.raises(CorruptRecordError, match="its head is older than its pages"):
        full.history.add(user="y" * 9_000)
    full.history.clear()
    assert full.history.add(user="y" * 9_000)


def test_compaction_over_a_clear() -> None:
    """A history that begins again between two portions keeps its turns, and the call ends."""
    full = empty()
    for number in range(60):
        full.history.add(user=f"{number}", assistant="x" * 100)
    calls: list[int] = []

    def begin_again() -> None:
        other(full).clear()
        for name in ("new 1", "new 2"):
            other(full).add(user=name)

    def summarize(messages: list[dict[str, Any]]) -> str:
        calls.append(len(messages))
        return "summary"

    full.interrupt("after", "compare_and_set", begin_again)
    assert full.history.compact(summarize, keep_tokens=340, portion_tokens=340) is True
    assert len(calls) == 1
    assert [message["content"] for message in full.history.messages()] == ["new 1", "new 2"]


def test_turns_near_the_largest_record() -> None:
    """Turns that fit into a record alone are added one after the other."""
    full = empty()
    for name in "abc":
        assert full.history.add(user=name * (9 * 2**20))
    assert full.history.add(user="small")
    assert [text[:1] for text in full.said()] == ["a", "b", "c", "s"]


def test_page_that_a_stale_writer_wrote_again() -> None:
    """A page that was deleted, and written again with fewer turns, is never read in silence."""
    full = empty()
    full.history.add(user="s0")

    def race() -> None:
        other(full).add(user="s1")
        other(full).add(user="s2")
        other(full).add(user="B" * 9_000)
        full.memory.delete(full.list_keys()[-1], "user", "ada")

    full.interrupt("before", "compare_and_set", race, pages=True)
    assert full.history.add(user="A" * 9_000)
    with pytest.raises(CorruptRecordError, match="is not the page that was written there"):
        full.history.turns()


def test_value_that_takes_the_place_of_a_new_history() -> None:
    """If the history is overwritten after the turn was added, add() raises nothing."""
    full = empty()
    full.interrupt("before", "scan", lambda: full.memory.set("chat", [1], "user", "ada"))
    assert full.history.add(user="x") is True
    assert full.memory.get("chat", "user", "ada") == [1]


def test_value_that_takes_the_place_of_a_history_with_pages() -> None:
    """Pages of a history that was overwritten are removed once a history begins there again."""
    full = FullHistory()
    full.memory.delete("chat", "user", "ada")
    full.interrupt("before", "scan", lambda: full.memory.set("chat", [1], "user", "ada"))
    assert full.history.add(user="x") is True
    assert len(full.list_keys()) > 2
    full.memory.delete("chat", "user", "ada")
    assert full.history.add(user="y") is True
    assert full.list_keys() == ["chat"]


def clear(full: FullHistory) -> None:
    """Delete the history."""
    assert full.history.clear()


def add(full: FullHistory) -> None:
    """Begin the history again, where its head was deleted."""
    full.memory.delete("chat", "user", "ada")
    assert full.history.add(user="new")


def adopt_list(full: FullHistory) -> None:
    """Adopt another list."""
    full.memory.set("chat", [{"user": "other", "assistant": "x"}], "user", "ada")
    assert full.history.adopt()


@pytest.mark.parametrize("remove_pages", [clear, add, adopt_list])
def test_list_that_is_adopted_while_old_pages_are_removed(
    remove_pages: Callable[[FullHistory], None],
) -> None:
    """A list that is set and adopted while another caller removes old pages keeps its turns."""
    full = FullHistory()
    are_pages_written, are_old_pages_removed = Event(), Event()

    def wait() -> None:
        are_pages_written.set()
        assert are_old_pages_removed.wait(60)

    with ThreadPoolExecutor(1) as thread:

        def adopt() -> None:
            full.memory.set("chat", LIST, "user", "ada")
            full.interrupt("before", "compare_and_set", wait, pages=False)
            adopted.append(thread.submit(other(full).adopt))
            assert are_pages_written.wait(60)

        adopted: list[Future[bool]] = []
        full.interrupt("before", "scan", adopt)
        remove_pages(full)
        are_old_pages_removed.set()
        assert adopted[0].result() is True
    assert full.said() == [turn["user"] for turn in LIST]


def test_history_that_is_cleared_before_old_pages_are_removed() -> None:
    """If a history is cleared right after a turn was added, add() raises nothing."""
    full = FullHistory(max_turns=8)
    full.interrupt("after", "compare_and_set", lambda: other(full).clear(), pages=False)
    assert full.history.add(user="x", assistant=LONG, max_turns=5) is True
    assert full.list_keys() == []


def test_page_with_other_turns() -> None:
    """A page that another program changed before its turns left the head is refused."""
    full = FullHistory()
    full.interrupt("after", "compare_and_set", kill, pages=True)
    with pytest.raises(Killed):
        full.history.add(user="killed", assistant=LONG)
    page = full.list_keys()[-1]
    value = full.memory.get(page, "user", "ada")
    value["turns"][0]["messages"][0]["content"] = "changed"
    full.memory.set(page, value, "user", "ada")
    with pytest.raises(CorruptRecordError, match="has other turns"):
        full.history.add(user="x", assistant=LONG)


@pytest.mark.parametrize("is_deleted", [False, True])
def test_lost_response_of_a_turn_that_is_in_a_page_now(is_deleted: bool) -> None:
    """A turn is found wherever it is; if its page was deleted, the outcome is unknown."""
    full = empty()

    def lose() -> None:
        for number in range(10):
            other(full).add(user=f"{number}", assistant=LONG)
        if is_deleted:
            full.memory.delete(full.list_keys()[1], "user", "ada")
        raise OutcomeUnknownError("lost")

    full.interrupt("after", "compare_and_set", lose)
    if is_deleted:
        with pytest.raises(OutcomeUnknownError):
            full.history.add(user="mine")
    else:
        assert full.history.add(user="mine") is True
        assert full.said() == ["mine", *(f"{number}" for number in range(10))]


def test_other_errors_after_a_lost_response() -> None:
    """If the history can't be read after a lost response, the outcome is reported as unknown."""
    full = empty()

    def lose() -> None:
        def refuse() -> None:
            raise StorageError("no permission")

        full.interrupt("before", "read", refuse)
        raise OutcomeUnknownError("lost")

    full.interrupt("after", "compare_and_set", lose)
    with pytest.raises(OutcomeUnknownError, match="lost"):
        full.history.add(user="x")
    assert full.said() == ["x"]


def test_conflict_after_a_lost_response_was_cleared_up() -> None:
    """Once a lost request is known not to be applied, later errors are reported as they are."""
    full = empty()
    full.history.add(user="first")
    full.time_out_after(0.4)

    def lose() -> None:
        other(full).add(user="other")
        full.store.on_request = fail
        raise OutcomeUnknownError("lost")

    def fail(when: str, number: int) -> None:
        if full.store.requests[number - 1] == "compare_and_set":
            raise BackendUnavailableError("down")

    full.interrupt("before", "compare_and_set", lose)
    with pytest.raises(BackendUnavailableError):
        full.history.add(user="mine")
    full.go_on()
    assert full.said() == ["first", "other"]


def test_turn_that_may_have_been_dropped() -> None:
    """If other writers dropped the number that the turn would have, its outcome is unknown."""
    full = empty()
    full.history.add(user="first")
    full.interrupt("after", "compare_and_set", lambda: drop_and_lose(full))
    with pytest.raises(OutcomeUnknownError):
        full.history.add(user="mine")
    assert full.said() == [f"other {number}" for number in range(3)]


def test_messages_that_the_caller_changes() -> None:
    """What a caller does with its messages while a turn is added does not change the turn."""
    full = empty()
    block = {"type": "text", "text": "before"}
    full.interrupt("before", "compare_and_set", lambda: block.update(text="after"))
    full.history.add({"role": "user", "content": [block]})
    assert full.history.messages()[0]["content"] == [{"type": "text", "text": "before"}]


def test_summary_that_is_no_unicode() -> None:
    """A summary with half of a surrogate pair is refused without showing it."""
    full = FullHistory()
    with pytest.raises(InvalidArgumentError, match="surrogate") as caught:
        full.history.compact(lambda messages: "secret \ud800", keep_tokens=100)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_list_that_gets_another_ttl_while_it_is_adopted() -> None:
    """Pages live as long as the head, also if the list's ttl changes meanwhile."""
    for before, after in ((300, 90_000), (90_000, 300)):
        full = empty()
        turns = [{"user": "x" * 300, "assistant": "y" * 300}] * 40
        full.memory.set("chat", turns, "user", "ada", ttl=before)
        full.interrupt(
            "before",
            "compare_and_set",
            lambda full=full, after=after: full.memory.touch("chat", after, "user", "ada"),  # type: ignore[misc]
        )
        assert full.history.adopt()
        head, *pages = ttls(full)
        assert after - 60 < head <= after
        wrong = [page for page in pages if not head < page <= max(head, before) + 3_601]
        assert wrong == []


def test_list_that_loses_its_ttl_while_it_is_adopted() -> None:
    """Pages stay as long as the head if the list is kept for ever meanwhile, and the reverse."""
    turns = [{"user": "x" * 300, "assistant": "y" * 300}] * 40
    for before, after in ((900, NO_EXPIRY), (NO_EXPIRY, 900)):
        full = empty()
        full.memory.set("chat", turns, "user", "ada", ttl=before)
        full.interrupt(
            "before",
            "compare_and_set",
            lambda full=full, after=after: full.memory.touch("chat", after, "user", "ada"),  # type: ignore[misc]
        )
        assert full.history.adopt()
        full.history.add(user="x", assistant=LONG * 3)
        left = ttls(full)
        assert len(left) > 3
        limits = (math.inf, math.inf) if after is NO_EXPIRY else (890, 900 + 3_600)
        assert all(limits[0] <= each <= limits[1] for each in left)


def test_lost_response_of_an_adoption_and_another_ttl() -> None:
    """Pages live as long as the head, also if the response to its compare-and-set is lost."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada", ttl=900)

    def lose() -> None:
        raise OutcomeUnknownError("lost")

    def touch() -> None:
        full.memory.touch("chat", 90_000, "user", "ada")
        full.interrupt("after", "compare_and_set", lose)

    full.interrupt("before", "compare_and_set", touch)
    assert full.history.adopt() is True
    head, *pages = ttls(full)
    assert head > 89_000
    assert [page for page in pages if page <= head] == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_history_that_begins_again_after_its_adoption(when: Any) -> None:
    """A history that begins again once the list was adopted keeps its turns and its expiry."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada")

    def begin_again() -> None:
        other(full).clear()
        full.interrupt(when, "remaining_ttl_ms", lambda: other(full).add(user="new"), pages=False)

    full.interrupt("after", "compare_and_set", begin_again)
    assert full.history.adopt()
    assert full.said() == ["new"]
    assert ttls(full) == [math.inf]


def test_touch_right_after_an_adoption() -> None:
    """A ttl that another caller sets once the list was adopted stays."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada", ttl=600)

    def touch() -> None:
        full.interrupt("after", "remaining_ttl_ms", lambda: other(full).touch(86_400), pages=False)

    def change() -> None:
        full.memory.touch("chat", 1_200, "user", "ada")
        full.interrupt("after", "compare_and_set", touch)

    full.interrupt("before", "compare_and_set", change)
    assert full.history.adopt()
    head, *pages = ttls(full)
    assert head > 86_000
    assert [page for page in pages if page <= head] == []


def test_unknown_outcome_of_an_adoption() -> None:
    """If the response is lost, and the next read fails, the outcome is reported as unknown."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada")

    def lose() -> None:
        full.interrupt("before", "read", refuse)
        raise OutcomeUnknownError("lost")

    def refuse() -> None:
        raise StorageError("no permission")

    full.interrupt("after", "compare_and_set", lose)
    with pytest.raises(OutcomeUnknownError, match="lost"):
        full.history.adopt()
    assert full.said() == [turn["user"] for turn in LIST]


def test_adoption_that_can_remove_nothing() -> None:
    """If tidying up fails, the list was adopted all the same, and adopt() returns True."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada")

    def refuse() -> None:
        raise StorageError("no permission")

    full.interrupt("before", "scan", refuse)
    assert full.history.adopt() is True
    assert full.said() == [turn["user"] for turn in LIST]


def test_list_that_is_deleted_and_set_again_while_it_is_adopted() -> None:
    """A list that comes back with the same bytes, after its pages were removed, loses nothing."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada")

    def set_again() -> None:
        full.memory.delete("chat", "user", "ada")
        other(full).clear()
        assert full.list_keys() == []
        full.memory.set("chat", LIST, "user", "ada")

    full.interrupt("before", "compare_and_set", set_again)
    assert full.history.adopt() is True
    assert full.said() == [turn["user"] for turn in LIST]


def test_killed_adoption_and_another_ttl() -> None:
    """A caller that is killed once the list was adopted leaves pages that live long enough."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada", ttl=100)

    def touch() -> None:
        full.memory.touch("chat", NO_EXPIRY, "user", "ada")
        full.interrupt("after", "compare_and_set", kill)

    full.interrupt("before", "compare_and_set", touch)
    with pytest.raises(Killed):
        full.history.adopt()
    assert set(ttls(full)) == {math.inf}
    assert full.said() == [turn["user"] for turn in LIST]


def test_adoption_that_another_caller_wins() -> None:
    """What the slower of two callers wrote is removed."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada")
    full.interrupt("before", "write_many", lambda: other(full).adopt())
    assert full.history.adopt() is False
    head = full.memory.get("chat", "user", "ada")
    assert len(full.list_keys()) == 1 + len(head["pages"])


def test_adoption_leaves_no_pages_of_failed_attempts() -> None:
    """What failed attempts wrote is removed once the list is adopted."""
    full = empty()
    turns = [{"user": "x" * 300, "assistant": "y" * 300}] * 40
    full.memory.set("chat", turns, "user", "ada")

    def refuse() -> None:
        raise StorageError("no permission")

    for _ in range(3):
        full.interrupt("before", "compare_and_set", refuse)
        with pytest.raises(StorageError):
            full.history.adopt()
    assert full.history.adopt()
    assert len(full.list_keys()) == 1 + len(full.memory.get("chat", "user", "ada")["pages"])


def test_list_that_always_changes() -> None:
    """adopt() gives up on a list that others change each time it is read."""
    full = empty()
    full.memory.set("chat", LIST, "user", "ada")

    def change(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            on_request, full.store.on_request = full.store.on_request, lambda when, number: None
            full.memory.append("chat", {"user": "z"}, scope="user", user_id="ada")
            full.store.on_request = on_request

    full.store.on_request = change
    with pytest.raises(StorageError, match="other writers changed the list each time"):
        full.history.adopt()
    full.go_on()
    assert isinstance(full.memory.get("chat", "user", "ada"), list)
    assert full.list_keys() == ["chat"]


def test_memory_that_is_closed_meanwhile() -> None:
    """A memory that is closed while a turn is added raises StorageError, and stays closed."""
    full = FullHistory()
    full.interrupt("before", "compare_and_set", full.memory.close, pages=True)
    with pytest.raises(StorageError, match="closed"):
        full.history.add(user="x", assistant=LONG)


class Cancelling:
    """Cancels the running task at one request, or counts the requests."""

    def __init__(self, memory: MemoryManager, when: str = "", number: int = 0) -> None:
        store = stores_of(memory).async_store
        self.point = when, number
        self.requests = 0
        for name in ("read", "compare_and_set", "remaining_ttl_ms"):
            setattr(store, name, self.interrupt(getattr(store, name)))

    def interrupt(self, method: Any) -> Any:
        async def request(*args: Any, **kwargs: Any) -> Any:
            self.requests += 1
            number = self.requests
            await self.cancel("before", number)
            result = await method(*args, **kwargs)
            await self.cancel("after", number)
            return result

        return request

    async def cancel(self, when: str, number: int) -> None:
        task = asyncio.current_task()
        if (when, number) == self.point and task:
            task.cancel()
        await asyncio.sleep(0)


def fill_and_add(when: str = "", number: int = 0) -> tuple[int, list[str]]:
    """Add a turn that moves a page, in a task that is cancelled at a request, and then another.

    Returns how many requests the task sent, and what the history has.
    """
    config = MemoryConfig(connection_url=f"memory://cancelled-{when}-{number}")
    with Workflow("w", config) as workflow:
        history = workflow.memory.history("chat", user_id="ada")
        for text in SAID:
            history.add(user=text, assistant=LONG)

        async def main() -> int:
            cancelling = Cancelling(workflow.memory, when, number)
            task = asyncio.create_task(history.aadd(user="new", assistant=LONG))
            await asyncio.wait([task])
            assert task.cancelled() is bool(when)
            requests, cancelling.point = cancelling.requests, ("", 0)
            assert await history.aadd(user="next", assistant=LONG)
            return requests

        requests = asyncio.run(main())
        return requests, [turn.messages[0]["content"] for turn in history.turns()]


def test_cancelled_add() -> None:
    """A task that is cancelled at any request has added its turn or not, and others go on."""
    requests, said = fill_and_add()
    assert said == [*SAID, "new", "next"]
    found = [
        fill_and_add(when, number)[1]
        for number in range(1, requests + 1)
        for when in ("before", "after")
    ]
    assert found == [[*SAID, "next"]] * (2 * requests - 1) + [[*SAID, "new", "next"]]
