"""Compaction of histories: a summary takes the place of the oldest turns for models."""

import asyncio
from threading import Event
from typing import Any, cast

import pytest

from fibonacci import History, InvalidArgumentError, MemoryManager

PREFIX = "Summary of the conversation so far: "


@pytest.fixture
def history(memory: MemoryManager) -> History:
    """A history of 60 turns, each of 34 tokens."""
    history = memory.history("chat", user_id="ada")
    for number in range(60):
        history.add(user=f"{number:02}", assistant="x" * 100)
    return history


def questions(messages: list[dict[str, Any]]) -> list[str]:
    """Return what the user said in these messages, and the summary's text."""
    return [m["content"].removeprefix(PREFIX) for m in messages if m["role"] == "user"]


def join(messages: list[dict[str, Any]]) -> str:
    """Summarize by joining the numbers of the turns."""
    return "".join(questions(messages))


def all_numbers(history: History) -> str:
    """Return what models are sent, as one text."""
    return join(history.messages())


EVERYTHING = "".join(f"{number:02}" for number in range(60))


def test_summary_replaces_the_oldest_turns(history: History) -> None:
    """Models are sent the summary and the newest turns; the transcript stays whole."""
    assert history.compact(join, keep_tokens=10 * 34) is True
    messages = history.messages()
    assert messages[0] == {"role": "user", "content": PREFIX + EVERYTHING[:100]}
    assert questions(messages)[1:] == [f"{number}" for number in range(50, 60)]
    assert [turn.number for turn in history.turns(limit=100)] == list(range(60))
    assert history.count() == 60


def test_summary_of_a_summary(history: History) -> None:
    """The next summary is of the last one and of the turns since; each turn is in it once."""
    for number in range(60, 100):
        if number % 10 == 0:
            assert history.compact(join, keep_tokens=20 * 34)
        history.add(user=f"{number}", assistant="x" * 100)
    assert all_numbers(history) == EVERYTHING + "".join(map(str, range(60, 100)))


def test_nothing_to_summarize(history: History, memory: MemoryManager) -> None:
    """If all turns may stay, no summary is asked for."""
    asked: list[Any] = []
    assert not history.compact(lambda messages: str(asked.append(messages)), keep_tokens=10**6)
    assert history.compact(join, keep_tokens=200)
    assert not history.compact(lambda messages: str(asked.append(messages)), keep_tokens=200)
    assert not memory.history("other", user_id="ada").compact(join, keep_tokens=1)
    assert asked == []


def test_portions(history: History) -> None:
    """summarize gets at most portion_tokens at once, after the summary so far."""
    portions: list[list[str]] = []
    tokens: list[int] = []

    def summarize(messages: list[dict[str, Any]]) -> str:
        portions.append(questions(messages))
        tokens.append(sum(-(-len(message["content"]) // 4) + 4 for message in messages))
        return join(messages)

    assert history.compact(summarize, keep_tokens=5 * 34, portion_tokens=10 * 34 + 40)
    assert all_numbers(history) == EVERYTHING
    assert portions[0] == [f"{number:02}" for number in range(11)]
    assert max(tokens) <= 10 * 34 + 40
    assert [number for portion in portions for number in portion if len(number) == 2] == [
        f"{number:02}" for number in range(55)
    ]


def test_turn_larger_than_a_portion(memory: MemoryManager) -> None:
    """A turn that is larger than a portion is passed alone."""
    history = memory.history("chat", user_id="ada")
    for number in range(5):
        history.add(user=f"{number:02}", assistant="x" * 10_000)
    sizes: list[int] = []

    def summarize(messages: list[dict[str, Any]]) -> str:
        sizes.append(len(messages))
        return join(messages)

    assert history.compact(summarize, keep_tokens=30, portion_tokens=100)
    assert sizes == [2, 3, 3, 3, 3]
    assert all_numbers(history) == "0001020304"


def test_newest_turn_larger_than_what_is_kept(history: History) -> None:
    """A newest turn of more than keep_tokens is summarized, too."""
    history.add(user="60", assistant="x" * 4_000)
    assert history.compact(join, keep_tokens=100)
    assert all_numbers(history) == EVERYTHING + "60"
    assert len(history.messages()) == 1


def test_turns_that_are_added_meanwhile_stay(history: History) -> None:
    """What is added while a summary is made is neither in it nor lost."""

    def summarize(messages: list[dict[str, Any]]) -> str:
        for number in range(60, 90):
            history.add(user=f"{number}", assistant="x" * 100)
        return join(messages)

    assert history.compact(summarize, keep_tokens=5 * 34)
    assert all_numbers(history) == EVERYTHING + "".join(map(str, range(60, 90)))


def test_slower_summary_is_dropped(history: History) -> None:
    """Of two summaries of the same turns the first one stays, and the other call returns False."""

    def summarize(messages: list[dict[str, Any]]) -> str:
        assert history.compact(join, keep_tokens=10 * 34)
        return "slow"

    assert history.compact(summarize, keep_tokens=10 * 34) is False
    assert all_numbers(history) == EVERYTHING


def test_equal_summaries(history: History) -> None:
    """Of two equal summaries of the same turns the first one counts."""

    def summarize(messages: list[dict[str, Any]]) -> str:
        assert history.compact(lambda messages: "equal", keep_tokens=10 * 34)
        return "equal"

    assert history.compact(summarize, keep_tokens=10 * 34) is False


def test_history_that_is_cleared_meanwhile(history: History) -> None:
    """A summary of a history that was cleared is dropped, also if a new one has begun."""

    def clear(messages: list[dict[str, Any]]) -> str:
        history.clear()
        return "old"

    def begin_again(messages: list[dict[str, Any]]) -> str:
        history.clear()
        history.add(user="new")
        return "old"

    assert history.compact(clear, keep_tokens=10 * 34) is False
    assert history.messages() == []
    for number in range(60):
        history.add(user=f"{number:02}", assistant="x" * 100)
    assert history.compact(begin_again, keep_tokens=10 * 34) is False
    assert questions(history.messages()) == ["new"]


@pytest.mark.parametrize("result", ["", "  ", None, 7, ["x"], b"x"])
def test_summary_that_is_no_text(history: History, result: Any) -> None:
    """A summary that is empty or no text is refused, and the history is unchanged."""
    before = history.messages()
    with pytest.raises(InvalidArgumentError, match="summarize must return the summary as text"):
        history.compact(lambda messages: result, keep_tokens=100)
    assert history.messages() == before


def test_summary_that_is_too_long(history: History) -> None:
    """A summary of more than keep_tokens is refused with both numbers."""
    before = history.messages()
    with pytest.raises(InvalidArgumentError, match="about 264 tokens, and may have 100"):
        history.compact(lambda messages: "x" * 1_003, keep_tokens=100)
    assert history.messages() == before


def test_function_that_raises(history: History) -> None:
    """What summarize raises passes through, and summaries of earlier portions stay."""
    calls: list[str] = []

    def summarize(messages: list[dict[str, Any]]) -> str:
        calls.append(join(messages))
        if len(calls) == 3:
            raise RuntimeError("no model")
        return calls[-1]

    with pytest.raises(RuntimeError, match="no model"):
        history.compact(summarize, keep_tokens=5 * 34, portion_tokens=10 * 34 + 40)
    assert all_numbers(history) == EVERYTHING
    assert len(questions(history.messages())) < 45


def test_coroutine_function_in_sync_code(history: History) -> None:
    """An async function is refused in sync code, and not left unawaited."""

    async def summarize(messages: list[dict[str, Any]]) -> str:
        return "x"

    with pytest.raises(InvalidArgumentError, match="summarize must be a sync function"):
        history.compact(cast(Any, summarize), keep_tokens=100)


def test_window_counts_the_summary(history: History) -> None:
    """The summary counts in max_tokens, and is left out if it does not fit."""
    history.compact(lambda messages: "y" * 360, keep_tokens=10 * 34 + 20)
    size = -(-(len(PREFIX) + 360) // 4) + 4
    assert len(questions(history.messages(max_tokens=size))) == 1
    assert len(questions(history.messages(max_tokens=size + 34))) == 2
    assert questions(history.messages(max_tokens=size - 1))[0].isdigit()
    assert len(questions(history.messages(max_turns=3))) == 1 + 3


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_event_loop_goes_on(history: History, kind: str) -> None:
    """While a function of either kind summarizes, the event loop serves others."""

    async def main() -> None:
        loop, has_begun = asyncio.get_running_loop(), asyncio.Event()
        thread_may_go_on, task_may_go_on = Event(), asyncio.Event()

        def summarize(messages: list[dict[str, Any]]) -> str:
            loop.call_soon_threadsafe(has_begun.set)
            assert thread_may_go_on.wait(60)
            return join(messages)

        async def asummarize(messages: list[dict[str, Any]]) -> str:
            has_begun.set()
            await task_may_go_on.wait()
            return join(messages)

        function = summarize if kind == "sync" else asummarize
        task = asyncio.create_task(history.acompact(function, keep_tokens=10 * 34))
        await has_begun.wait()
        thread_may_go_on.set()
        task_may_go_on.set()
        assert await task

    asyncio.run(main())
    assert all_numbers(history) == EVERYTHING


def test_dropped_turns_and_a_summary(history: History) -> None:
    """Turns that max_turns drops leave the messages; a summary of them stays."""
    history.compact(join, keep_tokens=10 * 34)
    for number in range(60, 80):
        history.add(user=f"{number}", assistant="x" * 100, max_turns=15)
    assert all_numbers(history) == EVERYTHING[:100] + "".join(map(str, range(65, 80)))
    assert history.compact(join, keep_tokens=10 * 34)
    assert all_numbers(history) == EVERYTHING[:100] + "".join(map(str, range(65, 80)))
