"""One model for all threads, event loops and forks."""

import os
from functools import partial

import attrs
import pytest

from fibonacci.plugin import Completion, ModelRequest
from fibonacci.testing.forks import NO_FORK, forked
from fibonacci.testing.modes import CallMode
from fibonacci.testing.provider.fixtures import ContractFixtures, ModelUnderTest
from fibonacci.testing.threads import run_concurrently

SUBJECTS = ["bears", "clouds", "drums", "eagles", "flutes", "grapes", "hills", "islands"]


class SharingTests(ContractFixtures):
    """C21."""

    def test_concurrent_requests(self, provider: ModelUnderTest) -> None:
        """Concurrent requests get the same completions as sequential ones (C21)."""
        sequential = self._sequential(provider)
        completions = provider.mode.call_concurrently(
            [*map(provider.completion_call, self._requests())]
        )
        for expected, completion in zip(sequential, completions, strict=True):
            self.check_equal(expected, completion)

    def test_concurrent_streams(self, provider: ModelUnderTest) -> None:
        """Concurrent streams get their own items (C21)."""
        sequential = self._sequential(provider)
        streams = provider.mode.call_concurrently([*map(provider.stream_call, self._requests())])
        for expected, items in zip(sequential, streams, strict=True):
            self.check_equal(expected, self.check_stream(items))

    def test_successive_event_loops(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """One model serves several event loops, one after the other, and then the first (C21)."""
        first = provider.complete(self.request)
        for _ in range(3):
            with mode.new() as new_mode:
                own = provider.with_mode(new_mode)
                self.check_equal(first, own.complete(self.request))
                self.check_equal(first, self.check_stream(own.stream(self.request)))
        self.check_equal(first, provider.complete(self.request))

    def test_threads_with_event_loops(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """One model serves concurrent threads, each with its own event loop (C21)."""
        sequential = self._sequential(provider)[:4]

        def work(request: ModelRequest, expected: Completion) -> None:
            with mode.new() as new_mode:
                own = provider.with_mode(new_mode)
                self.check_equal(expected, own.complete(request))
                self.check_equal(expected, self.check_stream(own.stream(request)))

        works = zip(self._requests(), sequential, strict=False)
        run_concurrently([partial(work, *pair) for pair in works])

    def _requests(self) -> list[ModelRequest]:
        prompts = [f"{self.request.prompt} And about {subject}." for subject in SUBJECTS]
        return [self.with_timeout(attrs.evolve(self.request, prompt=prompt)) for prompt in prompts]

    def _sequential(self, provider: ModelUnderTest) -> list[Completion]:
        """Return the completions of the requests, sent one by one; any if not deterministic."""
        if not self.deterministic:
            return [provider.complete(self.with_timeout())] * len(SUBJECTS)
        return [self.check_completion(provider.complete(request)) for request in self._requests()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason=NO_FORK)
class ForkTests(ContractFixtures):
    """C21: forks."""

    def test_child_and_parent(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """After a fork child and parent both send requests, and get their own completions (C21)."""
        before = provider.complete(self.with_timeout())

        def child() -> None:
            own = provider.with_mode(mode.new())
            self.check_equal(before, own.complete(self.with_timeout()))
            self.check_equal(before, self.check_stream(own.stream(self.with_timeout())))

        with forked(child, self.response_timeout):
            self.check_equal(before, provider.complete(self.with_timeout()))
        self.check_equal(before, self.check_stream(provider.stream(self.with_timeout())))

    def test_fork_during_stream(self, provider: ModelUnderTest, mode: CallMode) -> None:
        """A child that is forked during a stream takes nothing from it (C21)."""
        stream = provider.open_stream(self.with_timeout())
        first = stream.next()

        def child() -> None:
            other = attrs.evolve(self.with_timeout(), prompt="Name three animals of the woods.")
            self.check_completion(provider.with_mode(mode.new()).complete(other))

        with forked(child, self.response_timeout):
            pass
        completion = self.check_stream([first, *stream.rest()])
        self.check_equal(completion, provider.complete(self.with_timeout()))
