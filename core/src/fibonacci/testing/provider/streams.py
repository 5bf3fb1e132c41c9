"""Streams that are left before their end, and calls that are cancelled."""

import asyncio

import pytest

from fibonacci.plugin import Completion, Model, TextDelta
from fibonacci.testing.provider.fixtures import ContractFixtures, ModelUnderTest


class _BreakError(BaseException):
    """What no model may take for its own."""


class StreamTests(ContractFixtures):
    """C31."""

    def test_closed_early(self, provider: ModelUnderTest) -> None:
        """Streams that are closed early end, and leave the model to the next question (C31)."""
        for _ in range(self.concurrent_streams):
            stream = provider.open_stream(self.with_timeout(self.endless_request))
            assert isinstance(stream.next(), TextDelta)
            stream.close()
        self.check_completion(provider.complete(self.with_timeout()))

    def test_closed_unused(self, provider: ModelUnderTest) -> None:
        """A stream of which nobody took a piece can be closed, too (C31)."""
        for _ in range(self.concurrent_streams):
            provider.open_stream(self.with_timeout(self.endless_request)).close()
        self.check_completion(provider.complete(self.with_timeout()))

    def test_broken_off(self, provider: ModelUnderTest) -> None:
        """An exception that breaks a stream off comes through, and harms no other (C31)."""
        for _ in range(self.concurrent_streams):
            stream = provider.open_stream(self.with_timeout(self.endless_request))
            stream.next()
            with pytest.raises(_BreakError):
                stream.throw(_BreakError())
        self.check_completion(provider.complete(self.with_timeout()))

    def test_left_for_a_while(self, provider: ModelUnderTest) -> None:
        """While a stream rests others are answered, and then it goes on (C31)."""
        stream = provider.open_stream(self.with_timeout())
        first = stream.next()
        answer = provider.complete(self.with_timeout())
        self.check_equal(self.check_stream([first, *stream.rest()]), answer)

    def test_by_turns(self, provider: ModelUnderTest) -> None:
        """Streams that are read by turns have their own pieces each (C31)."""
        one, other = (
            provider.open_stream(self.with_timeout()),
            provider.open_stream(self.with_timeout()),
        )
        pieces, others = [one.next()], [other.next()]
        pieces += one.rest()
        others += other.rest()
        self.check_equal(self.check_stream(pieces), self.check_stream(others))

    def test_cancelled(self, raw_model: Model) -> None:
        """A call that is cancelled ends, and leaves the model to the next question (C31)."""

        async def cancel() -> list[Completion | BaseException]:
            asking = [
                asyncio.create_task(raw_model.acomplete(self.with_timeout(self.endless_request)))
                for _ in range(self.concurrent_streams)
            ]
            await asyncio.sleep(0.05)
            for task in asking:
                task.cancel()
            return await asyncio.gather(*asking, return_exceptions=True)

        async def run() -> None:
            for ended in await asyncio.wait_for(cancel(), self.response_timeout):
                assert isinstance(ended, Completion | asyncio.CancelledError), ended
            self.check_completion(await raw_model.acomplete(self.with_timeout()))

        asyncio.run(run())
