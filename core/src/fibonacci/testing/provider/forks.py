"""Forks: a child asks with the model that it was born with, and the parent goes on."""

import os

import attrs
import pytest

from fibonacci.testing.modes import CallMode
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel
from fibonacci.testing.store.fork import forked


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
class Forks(Bench):
    """C21: forks."""

    def test_child_and_parent(self, provider: SpokenModel, mode: CallMode) -> None:
        """After a fork child and parent both ask, and get their own answers (C21)."""
        before = provider.complete(self.patient())

        def child() -> None:
            own = provider.fresh(mode.fresh())
            self.check_same(before, own.complete(self.patient()))
            self.check_same(before, self.whole(own.pieces(self.patient())))

        with forked(child, self.patience):
            self.check_same(before, provider.complete(self.patient()))
        self.check_same(before, self.whole(provider.pieces(self.patient())))

    def test_fork_amid_a_stream(self, provider: SpokenModel, mode: CallMode) -> None:
        """A child that is born amid a stream takes nothing from it (C21)."""
        stream = provider.open(self.patient())
        first = stream.next()

        def child() -> None:
            other = attrs.evolve(self.patient(), prompt="Name three animals of the woods.")
            self.sound(provider.fresh(mode.fresh()).complete(other))

        with forked(child, self.patience):
            pass
        answer = self.whole([first, *stream.rest()])
        self.check_same(answer, provider.complete(self.patient()))
