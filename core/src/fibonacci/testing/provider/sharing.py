"""Sharing: one model for all threads and event loops."""

from functools import partial

import attrs

from fibonacci.plugin import Completion, ModelRequest
from fibonacci.testing.modes import CallMode
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel
from fibonacci.testing.threads import in_threads

SUBJECTS = ["bears", "clouds", "drums", "eagles", "flutes", "grapes", "hills", "islands"]


class Sharing(Bench):
    """C21."""

    def test_many_at_once(self, provider: SpokenModel) -> None:
        """Questions at the same time have the answers that they have alone (C21)."""
        alone = self._alone(provider)
        answers = provider.mode.ask_together([*map(provider.question, self._questions())])
        for one, answer in zip(alone, answers, strict=True):
            self.check_same(one, answer)

    def test_many_streams_at_once(self, provider: SpokenModel) -> None:
        """Streams at the same time have their own pieces each (C21)."""
        alone = self._alone(provider)
        streams = provider.mode.ask_together([*map(provider.streamed, self._questions())])
        for one, pieces in zip(alone, streams, strict=True):
            self.check_same(one, self.whole(pieces))

    def test_event_loops_in_a_row(self, provider: SpokenModel, mode: CallMode) -> None:
        """One model serves several event loops, one after the other, and then the first (C21)."""
        first = provider.complete(self.request)
        for _ in range(3):
            with mode.fresh() as fresh:
                own = provider.fresh(fresh)
                self.check_same(first, own.complete(self.request))
                self.check_same(first, self.whole(own.pieces(self.request)))
        self.check_same(first, provider.complete(self.request))

    def test_threads_with_event_loops(self, provider: SpokenModel, mode: CallMode) -> None:
        """One model serves threads at the same time, each with an event loop of its own (C21)."""
        alone = self._alone(provider)[:4]

        def work(request: ModelRequest, expected: Completion) -> None:
            with mode.fresh() as fresh:
                own = provider.fresh(fresh)
                self.check_same(expected, own.complete(request))
                self.check_same(expected, self.whole(own.pieces(request)))

        works = zip(self._questions(), alone, strict=False)
        in_threads([partial(work, *pair) for pair in works])

    def _questions(self) -> list[ModelRequest]:
        prompts = [f"{self.request.prompt} And about {one}." for one in SUBJECTS]
        return [self.patient(attrs.evolve(self.request, prompt=one)) for one in prompts]

    def _alone(self, provider: SpokenModel) -> list[Completion]:
        """Return the answers of the questions one by one; any will do where they don't matter."""
        if not self.steady:
            return [provider.complete(self.patient())] * len(SUBJECTS)
        return [self.sound(provider.complete(one)) for one in self._questions()]
