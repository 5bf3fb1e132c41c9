"""Histories under interleavings of writers, readers, clear() and touch()."""

import asyncio
import time
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    ConflictError,
    CorruptRecordError,
    History,
    InvalidArgumentError,
    MemoryConfig,
    OutcomeUnknownError,
    StorageError,
    Workflow,
)

from .stopping_store import LONG, FullHistory

SAID = [f"{number}" for number in range(14)]


class Killed(BaseException):
    """The process ends at this request."""


def kill() -> None:
    """End the process."""
    raise Killed


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


def test_page_of_another_writer_stays() -> None:
    """Old pages are removed by what the head says then, not by what it said before."""
    full = empty()
    for number in range(6):
        full.history.add(user=f"{number}", assistant="x" * 3_000, max_turns=5)
    for number in range(6, 40):
        full.interrupt(
            "before",
            "scan",
            lambda: other(full).add(user="big", assistant="y" * 9_000, max_turns=5),
        )
        full.history.add(user=f"{number}", assistant="s" * 100, max_turns=5)
        full.store.on_request = lambda when, number: None
        assert len(full.said()) == full.history.count() == 5


def test_page_of_a_killed_writer_ends_no_other() -> None:
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
    """A shorter ttl that fails half-way leaves every page longer than the head."""
    full = FullHistory(ttl=3_600, timeout=0.5)

    def fail(when: str, number: int) -> None:
        is_head = not full.store.is_about_page
        if full.store.requests[number - 1] == "compare_and_set" and is_head:
            raise BackendUnavailableError("down")

    full.store.on_request = fail
    with pytest.raises(BackendUnavailableError):
        full.history.touch(1)
    full.store.on_request = lambda when, number: None
    head, *pages = ttls(full)
    assert head > 3_500
    assert all(page > head for page in pages)


@pytest.mark.parametrize(("first", "second"), [(3_600, 1), (1, 3_600), (20_000, 1), (1, 20_000)])
def test_two_touches(first: int, second: int) -> None:
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
    full = FullHistory(ttl=2)

    def race() -> None:
        other(full).add(user="B", assistant=LONG)
        full.interrupt("after", "remaining_ttl_ms", lambda: other(full).touch(20_000), pages=True)

    full.interrupt("before", "compare_and_set", race, pages=True)
    full.history.add(user="A", assistant=LONG)
    head, *pages = ttls(full)
    assert head > 19_000
    assert [page for page in pages if page <= head] == []


def test_shorter_touch_after_a_longer_one() -> None:
    """A caller that shortens pages at last leaves those that another one has extended since."""
    full = FullHistory(ttl=50_000)
    rounds: list[str] = []

    def race(when: str, number: int) -> None:
        is_head = not full.store.is_about_page
        if when == "after" and full.store.requests[number - 1] == "compare_and_set" and is_head:
            full.store.on_request = lambda when, number: None
            rounds.append("long")
            assert other(full).touch(90_000)

    full.store.on_request = race
    assert full.history.touch(5)
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
            full.store.on_request = lambda when, number: None
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
    assert full.history.touch(5) is True
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
    """Pages of a history that was overwritten are removed by the next one that looks."""
    full = FullHistory()
    full.memory.delete("chat", "user", "ada")
    full.interrupt("before", "scan", lambda: full.memory.set("chat", [1], "user", "ada"))
    assert full.history.add(user="x") is True
    assert full.list_keys() == ["chat"]


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
    full = empty(timeout=0.4)
    full.history.add(user="first")

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
    full.store.on_request = lambda when, number: None
    assert full.said() == ["first", "other"]


def test_turn_that_may_have_been_dropped() -> None:
    """If other writers dropped the number that the turn would have, its outcome is unknown."""
    full = empty()
    full.history.add(user="0")

    def lose() -> None:
        for number in range(3):
            other(full).add(user=f"other {number}", max_turns=3)
        raise OutcomeUnknownError("lost")

    full.interrupt("after", "compare_and_set", lose)
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
    for before, after in ((1, 90_000), (90_000, 5)):
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
        assert after - 4 < head <= after
        wrong = [page for page in pages if not head < page <= max(head, before) + 3_601]
        assert wrong == []


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
    full.memory.set("chat", [{"user": "x", "assistant": "y"}], "user", "ada")

    def change(when: str, number: int) -> None:
        if when == "before" and full.store.requests[number - 1] == "compare_and_set":
            on_request, full.store.on_request = full.store.on_request, lambda when, number: None
            full.memory.append("chat", {"user": "z"}, scope="user", user_id="ada")
            full.store.on_request = on_request

    full.store.on_request = change
    with pytest.raises(StorageError, match="other writers changed the list each time"):
        full.history.adopt()
    full.store.on_request = lambda when, number: None
    assert isinstance(full.memory.get("chat", "user", "ada"), list)


def test_memory_that_is_closed_meanwhile() -> None:
    """A memory that is closed while a turn is added raises StorageError, and stays closed."""
    full = FullHistory()
    full.interrupt("before", "compare_and_set", full.memory.close, pages=True)
    with pytest.raises(StorageError, match="closed"):
        full.history.add(user="x", assistant=LONG)


def test_cancelled_add() -> None:
    """A cancelled task has added its turn or not; the history is whole, and others go on."""

    async def main() -> int:
        memory = Workflow("w", MemoryConfig(connection_url="memory://cancelled")).memory
        history = memory.history("chat", user_id="ada")
        for number in range(300):
            task = asyncio.create_task(history.aadd(user=f"{number}", assistant=LONG))
            await asyncio.sleep(0 if number % 2 else 0.0001)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        turns = await history.aturns(limit=1_000)
        assert await history.acount() == len(turns)
        assert [turn.number for turn in turns] == list(range(len(turns)))
        assert await history.aadd(user="last")
        return len(turns)

    started = time.monotonic()
    assert asyncio.run(main()) <= 300
    assert time.monotonic() - started < 60
