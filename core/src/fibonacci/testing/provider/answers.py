"""Answers: whole, in pieces, and the same in sync and async code."""

import attrs

from fibonacci.plugin import Model
from fibonacci.testing.modes import AsyncMode, SyncMode
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel


class Answers(Bench):
    """C30."""

    def test_answer(self, provider: SpokenModel) -> None:
        """A question has an answer, and a reason why it ends there (C30)."""
        answer = self.sound(provider.complete(self.request))
        assert len(answer.text.split()) >= 3, "give a `request` with a longer answer"

    def test_pieces(self, provider: SpokenModel) -> None:
        """A stream is pieces of text, and at its end one whole: the pieces joined (C30)."""
        self.whole(provider.pieces(self.request))

    def test_pieces_are_the_answer(self, provider: SpokenModel) -> None:
        """A stream says what complete says (C30)."""
        whole = self.whole(provider.pieces(self.request))
        self.check_same(whole, provider.complete(self.request))

    def test_twins(self, bare: Model) -> None:
        """What is awaited is what is asked plainly, whole and in pieces (C30)."""
        plain = SpokenModel(bare, SyncMode())
        with AsyncMode() as mode:
            awaited = SpokenModel(bare, mode)
            self.check_same(awaited.complete(self.request), plain.complete(self.request))
            whole = self.whole(awaited.pieces(self.request))
            self.check_same(whole, self.whole(plain.pieces(self.request)))

    def test_nothing_is_kept(self, provider: SpokenModel) -> None:
        """A question knows nothing of the ones before it (C30)."""
        first = provider.complete(self.request)
        provider.complete(attrs.evolve(self.request, prompt="Name three animals of the woods."))
        self.check_same(first, provider.complete(self.request))

    def test_usage(self, provider: SpokenModel) -> None:
        """Tokens are counted in whole numbers from 0, in both ways of asking (C30)."""
        for answer in (
            provider.complete(self.request),
            self.whole(provider.pieces(self.request)),
        ):
            for tokens in (answer.usage.input_tokens, answer.usage.output_tokens):
                assert type(tokens) is int
                assert tokens >= 0
