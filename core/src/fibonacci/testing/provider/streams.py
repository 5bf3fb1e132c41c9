"""Streams that are left before their end, and calls that are cancelled."""

import asyncio

import pytest

from fibonacci.plugin import Completion, Model, TextDelta
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel


class _BreakError(BaseException):
    """What no model may take for its own."""


class Streams(Bench):
    """C31."""

    def test_closed_early(self, provider: SpokenModel) -> None:
        """Streams that are closed early end, and leave the model to the next question (C31)."""
        for _ in range(self.streams):
            stream = provider.open(self.patient(self.endless))
            assert isinstance(stream.next(), TextDelta)
            stream.close()
        self.sound(provider.complete(self.patient()))

    def test_closed_unused(self, provider: SpokenModel) -> None:
        """A stream of which nobody took a piece can be closed, too (C31)."""
        for _ in range(self.streams):
            provider.open(self.patient(self.endless)).close()
        self.sound(provider.complete(self.patient()))

    def test_broken_off(self, provider: SpokenModel) -> None:
        """An exception that breaks a stream off comes through, and harms no other (C31)."""
        for _ in range(self.streams):
            stream = provider.open(self.patient(self.endless))
            stream.next()
            with pytest.raises(_BreakError):
                stream.throw(_BreakError())
        self.sound(provider.complete(self.patient()))

    def test_left_for_a_while(self, provider: SpokenModel) -> None:
        """While a stream rests others are answered, and then it goes on (C31)."""
        stream = provider.open(self.patient())
        first = stream.next()
        answer = provider.complete(self.patient())
        self.check_same(self.whole([first, *stream.rest()]), answer)

    def test_by_turns(self, provider: SpokenModel) -> None:
        """Streams that are read by turns have their own pieces each (C31)."""
        one, other = provider.open(self.patient()), provider.open(self.patient())
        pieces, others = [one.next()], [other.next()]
        pieces += one.rest()
        others += other.rest()
        self.check_same(self.whole(pieces), self.whole(others))

    def test_cancelled(self, bare: Model) -> None:
        """A call that is cancelled ends, and leaves the model to the next question (C31)."""

        async def cancel() -> list[Completion | BaseException]:
            asking = [
                asyncio.create_task(bare.acomplete(self.patient(self.endless)))
                for _ in range(self.streams)
            ]
            await asyncio.sleep(0.05)
            for task in asking:
                task.cancel()
            return await asyncio.gather(*asking, return_exceptions=True)

        async def run() -> None:
            for ended in await asyncio.wait_for(cancel(), self.patience):
                assert isinstance(ended, Completion | asyncio.CancelledError), ended
            self.sound(await bare.acomplete(self.patient()))

        asyncio.run(run())
