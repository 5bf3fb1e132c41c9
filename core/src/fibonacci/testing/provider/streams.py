"""Streams that are left before their end, and calls that are cancelled."""

import asyncio

import pytest

from fibonacci.plugin import Completion, Model, TextDelta
from fibonacci.testing.provider.fixtures import ContractFixtures, ModelUnderTest


class _BreakError(BaseException):
    """What no model may take for its own."""


class StreamTests(ContractFixtures):
    """C31."""

    def test_stream_closed_early(self, provider: ModelUnderTest) -> None:
        """A stream that is closed early ends, and the model serves the next request (C31)."""
        for _ in range(self.abandoned_streams):
            stream = provider.open_stream(self.with_timeout(self.endless_request))
            assert isinstance(stream.next(), TextDelta)
            stream.close()
        self.check_completion(provider.complete(self.with_timeout()))

    def test_stream_closed_unused(self, provider: ModelUnderTest) -> None:
        """A stream of which no item was taken can be closed (C31)."""
        for _ in range(self.abandoned_streams):
            provider.open_stream(self.with_timeout(self.endless_request)).close()
        self.check_completion(provider.complete(self.with_timeout()))

    def test_exception_thrown_into_stream(self, provider: ModelUnderTest) -> None:
        """An exception thrown into a stream propagates, and harms no other request (C31)."""
        for _ in range(self.abandoned_streams):
            stream = provider.open_stream(self.with_timeout(self.endless_request))
            stream.next()
            with pytest.raises(_BreakError):
                stream.throw(_BreakError())
        self.check_completion(provider.complete(self.with_timeout()))

    def test_paused_stream(self, provider: ModelUnderTest) -> None:
        """While a stream is paused, others are served, and then it continues (C31)."""
        stream = provider.open_stream(self.with_timeout())
        first = stream.next()
        completion = provider.complete(self.with_timeout())
        self.check_equal(self.check_stream([first, *stream.rest()]), completion)

    def test_interleaved_streams(self, provider: ModelUnderTest) -> None:
        """Streams that are read in turn get their own items (C31)."""
        one, other = (
            provider.open_stream(self.with_timeout()),
            provider.open_stream(self.with_timeout()),
        )
        items, others = [one.next()], [other.next()]
        items += one.rest()
        others += other.rest()
        self.check_equal(self.check_stream(items), self.check_stream(others))

    def test_cancelled_call(self, raw_model: Model) -> None:
        """A call that is cancelled ends, and the model serves the next request (C31)."""

        async def cancel() -> list[Completion | BaseException]:
            asking = [
                asyncio.create_task(raw_model.acomplete(self.with_timeout(self.endless_request)))
                for _ in range(self.abandoned_streams)
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
