"""Histories against a model: random operations, compared with a list after each step."""

from contextlib import suppress
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fibonacci import MemoryConfig, Workflow

from .stopping_store import Killed, StoppingStore, kill

SIZES = st.sampled_from([1, 60, 300, 900, 2_000, 4_500, 9_000])
NUMBERS = st.integers(0, 60)
PREFIX = "Summary of the conversation so far: "


def tokens_of(text: str) -> int:
    """Return the estimate for a message."""
    return -(-len(text.encode()) // 4) + 4


class HistoryMachine(RuleBasedStateMachine):
    """A history beside a list of its turns."""

    def __init__(self) -> None:
        super().__init__()
        self.store = StoppingStore()
        self.memory = Workflow("w", MemoryConfig(self.store, timeout=60)).memory
        self.history = self.memory.history("chat", user_id="ada")
        self.forget()

    def forget(self) -> None:
        """Begin with an empty model."""
        self.exists = False
        self.turns: list[str] = []
        """What was said in each turn that was ever added."""
        self.adopted = 0
        """How many turns have an answer, too: those that were adopted."""
        self.start = 0
        self.summarized = 0
        self.summary: str | None = None
        self.ids: set[str] = set()

    def say(self, size: int) -> str:
        """Return the text of a new turn."""
        text = f"{len(self.turns)} ".ljust(size, "ü")
        self.turns.append(text)
        self.exists = True
        return text

    @rule(sizes=st.lists(SIZES, min_size=1, max_size=12))
    def add(self, sizes: list[int]) -> None:
        for size in sizes:
            assert self.history.add(user=self.say(size))

    @rule(size=SIZES, keep=st.integers(1, 40))
    def add_and_drop(self, size: int, keep: int) -> None:
        assert self.history.add(user=self.say(size), max_turns=keep)
        self.start = max(self.start, len(self.turns) - keep)

    @rule(size=SIZES, other=SIZES, keep=st.integers(1, 40), other_keep=st.integers(1, 40))
    def add_while_another_adds(self, size: int, other: int, keep: int, other_keep: int) -> None:
        """Another writer's turn comes between what an add() has read and what it writes."""

        def add(when: str, number: int) -> None:
            if when == "before" and self.store.is_head_written():
                self.store.on_request = lambda when, number: None
                assert self.history.add(user=first, max_turns=other_keep)

        first = self.say(other)
        self.store.on_request = add
        assert self.history.add(user=self.say(size), max_turns=keep)
        self.start = max(self.start, len(self.turns) - 1 - other_keep, len(self.turns) - keep)

    @rule(
        size=SIZES,
        when=st.sampled_from(["before", "after"]),
        at=st.integers(1, 8),
        keep=st.none() | st.integers(1, 40),
    )
    def be_killed(
        self, size: int, when: Literal["before", "after"], at: int, keep: int | None
    ) -> None:
        """A writer is killed at a request of add(): the turn was added or not."""

        def check(now: str, number: int) -> None:
            if (now, number) == (when, at):
                kill()

        text = self.say(size)
        self.store.requests.clear()
        self.store.on_request = check
        with suppress(Killed):
            self.history.add(user=text, max_turns=keep)
        self.store.on_request = lambda when, number: None
        newest = self.history.turns(limit=1)
        if newest and newest[0].number == len(self.turns) - 1:
            self.start = max(self.start, len(self.turns) - keep) if keep else self.start
        else:
            self.turns.pop()
            self.exists = bool(self.turns)

    @rule(name=st.sampled_from("abcdefgh"), size=SIZES)
    def add_with_id(self, name: str, size: int) -> None:
        if name in self.ids:
            assert not self.history.add(user="again", id=name)
        else:
            self.ids.add(name)
            assert self.history.add(user=self.say(size), id=name)

    @rule()
    def clear(self) -> None:
        self.history.clear()
        assert self.memory.list_keys("user", "ada") == []
        self.forget()

    @rule(size=SIZES)
    def delete_the_head(self, size: int) -> None:
        """The next turn begins a new history, and removes what the old one left."""
        self.memory.delete("chat", "user", "ada")
        self.forget()
        self.history.add(user=self.say(size))
        assert self.memory.list_keys("user", "ada") == ["chat"]

    @rule(sizes=st.lists(SIZES, max_size=30))
    def adopt(self, sizes: list[int]) -> None:
        self.history.clear()
        self.forget()
        messages = [{"role": "user", "content": self.say(size)} for size in sizes]
        answers: list[dict[str, Any]] = [{"role": "assistant", "content": "-"}] * len(sizes)
        pairs = zip(messages, answers, strict=True)
        self.memory.set("chat", [each for pair in pairs for each in pair], "user", "ada")
        assert self.history.adopt()
        self.exists = True
        self.adopted = len(sizes)

    @rule(keep=st.sampled_from([30, 300, 3_000]), portion=st.sampled_from([60, 500, 5_000]))
    def compact(self, keep: int, portion: int) -> None:
        seen: list[str] = []

        def summarize(messages: list[dict[str, Any]]) -> str:
            texts = [message["content"] for message in messages if message["role"] == "user"]
            if texts[0].startswith(PREFIX):
                assert texts.pop(0) == PREFIX + (self.summary or "")
            seen.extend(texts)
            self.summary = f"{len(seen)}"
            return self.summary

        before = max(self.start, self.summarized)
        done = self.history.compact(summarize, keep_tokens=keep, portion_tokens=portion)
        assert done is bool(seen)
        assert seen == self.turns[before : before + len(seen)]
        if seen:
            self.summarized = before + len(seen)

    @rule(ttl=st.integers(1_000, 2_000))
    def touch(self, ttl: int) -> None:
        assert self.history.touch(ttl) is self.exists
        head = self.memory.get("chat", "user", "ada", default={"count": 0, "turns": []})
        oldest_in_head = head["count"] - len(head["turns"])
        for key in self.memory.list_keys("user", "ada"):
            if "/pages/" in key and int(key[-12:]) >= oldest_in_head:
                continue  # a writer was killed before its turns left the head
            assert ttl - 60 < (self.memory.ttl(key, "user", "ada") or 0) <= ttl + 3_600

    @rule(tokens=st.integers(1, 3_000), turns=NUMBERS)
    def read_a_window(self, tokens: int, turns: int) -> None:
        messages = self.history.messages(max_tokens=tokens, max_turns=turns or None)
        expected: list[str] = []
        first = max(self.start, self.summarized, len(self.turns) - (turns or len(self.turns)))
        summary = None if self.summary is None else PREFIX + self.summary
        if summary is None or tokens_of(summary) > tokens:
            summary = None
        else:
            tokens -= tokens_of(summary)
        for number in range(len(self.turns) - 1, first - 1, -1):
            tokens -= tokens_of(self.turns[number]) + (5 if number < self.adopted else 0)
            if tokens < 0:
                break
            expected.insert(0, self.turns[number])
        assert [m["content"] for m in messages if m["role"] == "user"] == [
            *([] if summary is None else [summary]),
            *expected,
        ]

    @rule(before=NUMBERS, limit=st.integers(1, 40))
    def read_a_page(self, before: int, limit: int) -> None:
        end = min(before, len(self.turns))
        expected = range(max(self.start, end - limit), end)
        found = self.history.turns(before, limit)
        assert [turn.number for turn in found] == list(expected)
        assert [turn.messages[0]["content"] for turn in found] == [self.turns[n] for n in expected]

    @invariant()
    def has_all_turns(self) -> None:
        assert self.history.count() == len(self.turns) - self.start
        texts = [turn.messages[0]["content"] for turn in self.history.turns(limit=10**6)]
        assert texts == self.turns[self.start :]
        sent = [m["content"] for m in self.history.messages() if m["role"] == "user"]
        if self.summary is not None:
            assert sent.pop(0) == PREFIX + self.summary
        assert sent == self.turns[max(self.start, self.summarized) :]

    def teardown(self) -> None:
        self.memory.close()


def test_history_is_a_list_of_turns() -> None:
    """Random operations leave what a list of turns would have."""
    run_state_machine_as_test(
        HistoryMachine, settings=settings(max_examples=40, stateful_step_count=20, deadline=None)
    )
