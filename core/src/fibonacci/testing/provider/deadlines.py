"""Deadlines: an answer in time, or an error in time."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Model, ModelRequest
from fibonacci.testing.modes import AsyncMode
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel, listed

SLOW = 0.5
"""Seconds in which an event loop comes round many times, while a slow answer is waited for."""


class Deadlines(Bench):
    """C33, and C30. Where no question is slow, each may be answered, or be late; but in time."""

    def test_deadline(self, provider: SpokenModel) -> None:
        """At the deadline there is a ModelError, or there was the answer (C33)."""
        self._hold(provider.complete, self.slow, 0.3)

    def test_deadline_of_a_stream(self, provider: SpokenModel) -> None:
        """A stream ends by its deadline, too, whatever it had said by then (C33)."""
        self._hold(provider.pieces, self.slow, 0.3)
        self._hold(provider.pieces, self.endless, 0.3)

    def test_passed_deadline(self, provider: SpokenModel) -> None:
        """A deadline that has passed waits for nothing (C33)."""
        self._hold(provider.complete, self.slow, -1.0)
        self._hold(provider.pieces, self.slow, -1.0)

    def test_kept_deadline(self, provider: SpokenModel) -> None:
        """In time, a deadline changes nothing (C33)."""
        answer = provider.complete(self.patient())
        self.check_same(answer, provider.complete(self.request))

    def test_after_the_deadline(self, provider: SpokenModel) -> None:
        """What was late leaves the model to the next question (C33)."""
        for _ in range(2):
            self._hold(provider.complete, self.slow, 0.1)
        self.sound(provider.complete(self.patient()))

    def test_free_loop(self, bare: Model) -> None:
        """The event loop serves others while an answer is waited for, or a piece (C30)."""
        mode = AsyncMode()
        with mode:
            for ask in (bare.acomplete, partial(_last_piece, bare)):
                seconds, turns = mode.run(partial(self._beside, ask))
                assert turns > 3 or seconds < SLOW / 2, "the event loop stood still"

    async def _beside(self, ask: Callable[[ModelRequest], Any]) -> tuple[float, int]:
        """Ask what is slow; return how long it took, and how often the loop came round."""
        start, turns = monotonic(), 0
        question = attrs.evolve(self.slow or self.request, deadline=start + SLOW)
        asking = asyncio.ensure_future(ask(question))
        while not asking.done():
            await asyncio.sleep(0.01)
            turns += 1
        await asyncio.gather(asking, return_exceptions=True)
        return monotonic() - start, turns

    def _hold(
        self, ask: Callable[[ModelRequest], object], slow: ModelRequest | None, seconds: float
    ) -> None:
        """Ask with a deadline in so many seconds: what is slow has to fail, the rest may."""
        start = monotonic()
        with pytest.raises(ModelError) if slow else suppress(ModelError):
            ask(attrs.evolve(slow or self.request, deadline=start + seconds))
        assert monotonic() - start < max(0.0, seconds) + self.grace


async def _last_piece(model: Model, request: ModelRequest) -> object:
    return (await listed(model.astream(request)))[-1]
