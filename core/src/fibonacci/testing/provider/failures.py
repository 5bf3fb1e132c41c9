"""Deadlines and failures: one error, which says whether a retry may help, and nothing secret."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from math import isfinite
from time import monotonic
from typing import Any

import attrs
import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Model, ModelRequest
from fibonacci.testing.modes import AsyncMode
from fibonacci.testing.provider.fixtures import ContractFixtures, ModelUnderTest, collect
from fibonacci.testing.tracebacks import traceback_text

SLOW = 0.5
"""Seconds in which an event loop runs many iterations while a slow completion is awaited."""


class DeadlineTests(ContractFixtures):
    """C33, and C30. Where no request is slow, each may be served, or be late; but in time."""

    def test_deadline(self, provider: ModelUnderTest) -> None:
        """A request ends by its deadline, with a completion or a ModelError (C33)."""
        self._check_deadline(provider.complete, self.slow_request, 0.3)

    def test_stream_deadline(self, provider: ModelUnderTest) -> None:
        """A stream ends by its deadline, whatever it yielded before (C33)."""
        self._check_deadline(provider.stream, self.slow_request, 0.3)
        self._check_deadline(provider.stream, self.endless_request, 0.3)

    def test_passed_deadline(self, provider: ModelUnderTest) -> None:
        """A request whose deadline has passed ends at once (C33)."""
        self._check_deadline(provider.complete, self.slow_request, -1.0)
        self._check_deadline(provider.stream, self.slow_request, -1.0)

    def test_distant_deadline(self, provider: ModelUnderTest) -> None:
        """A deadline that is not reached changes nothing (C33)."""
        completion = provider.complete(self.with_timeout())
        self.check_equal(completion, provider.complete(self.request))

    def test_request_after_timeout(self, provider: ModelUnderTest) -> None:
        """After a timeout the model serves the next request (C33)."""
        for _ in range(2):
            self._check_deadline(provider.complete, self.slow_request, 0.1)
        self.check_completion(provider.complete(self.with_timeout()))

    def test_event_loop_is_not_blocked(self, raw_model: Model) -> None:
        """The event loop runs while a completion or an item is awaited (C30)."""
        mode = AsyncMode()
        with mode:
            for send in (raw_model.acomplete, partial(_last_item, raw_model)):
                seconds, turns = mode.run(partial(self._count_turns, send))
                assert turns > 3 or seconds < SLOW / 2, "the event loop was blocked"

    async def _count_turns(self, send: Callable[[ModelRequest], Any]) -> tuple[float, int]:
        """Send a slow request; return the seconds it took, and the turns of the loop meanwhile."""
        start, turns = monotonic(), 0
        request = attrs.evolve(self.slow_request or self.request, deadline=start + SLOW)
        response = asyncio.ensure_future(send(request))
        while not response.done():
            await asyncio.sleep(0.01)
            turns += 1
        await asyncio.gather(response, return_exceptions=True)
        return monotonic() - start, turns

    def _check_deadline(
        self, send: Callable[[ModelRequest], object], slow: ModelRequest | None, seconds: float
    ) -> None:
        """Send a request with a deadline in ``seconds``: a slow one must fail, another one may."""
        start = monotonic()
        with pytest.raises(ModelError) if slow else suppress(ModelError):
            send(attrs.evolve(slow or self.request, deadline=start + seconds))
        assert monotonic() - start < max(0.0, seconds) + self.deadline_slack


async def _last_item(model: Model, request: ModelRequest) -> object:
    return (await collect(model.astream(request)))[-1]


class FailureTests(ContractFixtures):
    """C34, and C23. If no request is declared to fail, ``PromptTests`` checks that."""

    def test_failure(self, provider: ModelUnderTest) -> None:
        """A failure is a ModelError that says whether a retry may help (C34)."""
        for _, retryable, error in self._failures(provider.complete):
            assert error.retryable is retryable

    def test_stream_failure(self, provider: ModelUnderTest) -> None:
        """A stream raises what complete raises (C34)."""
        for _, retryable, error in self._failures(provider.stream):
            assert error.retryable is retryable

    def test_retry_after(self, provider: ModelUnderTest) -> None:
        """The attribute retry_after is None, or seconds from 0 (C34)."""
        for _, retryable, error in self._failures(provider.complete):
            if error.retry_after is not None:
                assert retryable
                assert isfinite(error.retry_after)
                assert error.retry_after >= 0

    def test_errors_quote_no_secret(self, provider: ModelUnderTest) -> None:
        """No error quotes a prompt or a key, nor does its cause (C23)."""
        for send in (provider.complete, provider.stream):
            for request, _, error in self._failures(send):
                assert str(error), "an error needs a message"
                self._check_no_secret(traceback_text(error), request)

    def test_logs_quote_no_secret(
        self, provider: ModelUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        """No log record quotes a prompt, a completion or a key, at any level (C23)."""
        with caplog.at_level(logging.DEBUG):
            completion = provider.complete(self.request)
            self._check_no_secret(caplog.text, self.request)
            assert completion.text not in caplog.text
            for request, _, _ in self._failures(provider.complete):
                self._check_no_secret(caplog.text, request)

    def test_repr(self, raw_model: Model) -> None:
        """A model's repr shows no key (C23)."""
        assert not [secret for secret in self.secrets if secret in f"{raw_model!r} {raw_model}"]

    def test_request_after_failure(self, provider: ModelUnderTest) -> None:
        """After a failure the model serves the next request (C34)."""
        for _ in self._failures(provider.complete):
            self.check_completion(provider.complete(self.with_timeout()))
        for _ in self._failures(provider.stream):
            self.check_stream(provider.stream(self.with_timeout()))

    def _failures(
        self, send: Callable[[ModelRequest], object]
    ) -> Iterator[tuple[ModelRequest, bool, ModelError]]:
        for request, retryable in self.failing_requests:
            with pytest.raises(ModelError) as caught:
                send(self.with_timeout(request))
            yield request, retryable, caught.value

    def _check_no_secret(self, text: str, request: ModelRequest) -> None:
        assert len(request.prompt) >= 8, "use prompts of eight characters or more"
        for hidden in (request.prompt, request.system_prompt, *self.secrets):
            assert not hidden or hidden not in text
