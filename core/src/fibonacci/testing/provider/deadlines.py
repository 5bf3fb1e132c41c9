"""Deadlines: an answer in time, or an error in time."""

from collections.abc import Callable
from time import monotonic

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import ModelRequest
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel

LATE = 0.5
"""Seconds that an error may come after the deadline."""


class Deadlines(Bench):
    """C33. Where no question is slow, all of them are answered by the same deadlines."""

    def test_deadline(self, provider: SpokenModel) -> None:
        """At the deadline there is a ModelError, or there was the answer (C33)."""
        self._hold(provider.complete, 0.3)

    def test_deadline_of_a_stream(self, provider: SpokenModel) -> None:
        """A stream ends by its deadline, too, whatever it had said by then (C33)."""
        self._hold(provider.pieces, 0.3)

    def test_passed_deadline(self, provider: SpokenModel) -> None:
        """A deadline that has passed waits for nothing (C33)."""
        self._hold(provider.complete, -1.0)
        self._hold(provider.pieces, -1.0)

    def test_kept_deadline(self, provider: SpokenModel) -> None:
        """In time, a deadline changes nothing (C33)."""
        answer = provider.complete(self.patient())
        self.check_same(answer, provider.complete(self.request))

    def test_after_the_deadline(self, provider: SpokenModel) -> None:
        """What was late leaves the model to the next question (C33)."""
        for _ in range(2):
            self._hold(provider.complete, 0.1)
        self.sound(provider.complete(self.patient()))

    def _hold(self, ask: Callable[[ModelRequest], object], seconds: float) -> None:
        start = monotonic()
        request = attrs.evolve(self.slow or self.request, deadline=start + seconds)
        if self.slow is None:
            ask(request)
        else:
            with pytest.raises(ModelError) as caught:
                ask(request)
            assert self.slow.prompt not in str(caught.value)
        assert monotonic() - start < max(0.0, seconds) + LATE
