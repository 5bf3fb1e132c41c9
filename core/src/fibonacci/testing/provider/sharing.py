"""One model for all threads, event loops and forks."""

import os
from functools import partial

import attrs
import pytest

from fibonacci.plugin import Completion, ModelRequest
from fibonacci.testing.modes import CallMode
from fibonacci.testing.provider.fixtures import ContractFixtures, ModelUnderTest
from fibonacci.testing.store.lifecycle import forked
from fibonacci.testing.threads import run_concurrently

SUBJECTS = ["bears", "clouds", "drums", "eagles", "flutes", "grapes", "hills", "islands"]


class SharingTests(ContractFixtures):
    """C21."""

    def test_many_at_once(self, provider: ModelUnderTest) -> None:
        """Questions at the same time have the answers that they have alone (C21)."""
        alone = self._alone(provider)
        answers = provider.mode.call_concurrently(
            [*map(provider.completion_call, self._questions())]
        )
        for one, answer in zip(alone, answers, strict=True):
            self.check_equal(one, answer)

    def test_many_streams_at_once(self, provider: ModelUnderTest) -> None:
        """Streams at the same time have their own pieces each (C21)."""
        alone = self._alone(provider)
        streams = provider.mode.call_concurrently([*map(provider.stream_call, self._questions())])
        for one, pieces in zip(alone, streams, strict=True):
            self.check_equal(one, self.check_stream(pieces))

    def test_event_loops_in_a_row(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """One model serves several event loops, one after the other, and then the first (C21)."""
        first = provider.complete(self.request)
        for _ in range(3):
            with mode.new() as new_mode:
                own = provider.with_mode(new_mode)
                self.check_equal(first, own.complete(self.request))
                self.check_equal(first, self.check_stream(own.stream(self.request)))
        self.check_equal(first, provider.complete(self.request))

    def test_threads_with_event_loops(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """One model serves threads at the same time, each with an event loop of its own (C21)."""
        alone = self._alone(provider)[:4]

        def work(request: ModelRequest, expected: Completion) -> None:
            with mode.new() as new_mode:
                own = provider.with_mode(new_mode)
                self.check_equal(expected, own.complete(request))
                self.check_equal(expected, self.check_stream(own.stream(request)))

        works = zip(self._questions(), alone, strict=False)
        run_concurrently([partial(work, *pair) for pair in works])

    def _questions(self) -> list[ModelRequest]:
        prompts = [f"{self.request.prompt} And about {one}." for one in SUBJECTS]
        return [self.with_timeout(attrs.evolve(self.request, prompt=one)) for one in prompts]

    def _alone(self, provider: ModelUnderTest) -> list[Completion]:
        """Return the answers of the questions one by one; any will do where they don't matter."""
        if not self.deterministic:
            return [provider.complete(self.with_timeout())] * len(SUBJECTS)
        return [self.check_completion(provider.complete(one)) for one in self._questions()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
class ForkTests(ContractFixtures):
    """C21: forks."""

    def test_child_and_parent(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """After a fork child and parent both ask, and get their own answers (C21)."""
        before = provider.complete(self.with_timeout())

        def child() -> None:
            own = provider.with_mode(mode.new())
            self.check_equal(before, own.complete(self.with_timeout()))
            self.check_equal(before, self.check_stream(own.stream(self.with_timeout())))

        with forked(child, self.response_timeout):
            self.check_equal(before, provider.complete(self.with_timeout()))
        self.check_equal(before, self.check_stream(provider.stream(self.with_timeout())))

    def test_fork_amid_a_stream(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """A child that is born amid a stream takes nothing from it (C21)."""
        stream = provider.open_stream(self.with_timeout())
        first = stream.next()

        def child() -> None:
            other = attrs.evolve(self.with_timeout(), prompt="Name three animals of the woods.")
            self.check_completion(provider.with_mode(mode.new()).complete(other))

        with forked(child, self.response_timeout):
            pass
        answer = self.check_stream([first, *stream.rest()])
        self.check_equal(answer, provider.complete(self.with_timeout()))
