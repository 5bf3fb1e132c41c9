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

SLOW = 0.5
"""Seconds in which an event loop comes round many times, while a slow answer is waited for."""


class DeadlineTests(ContractFixtures):
    """C33, and C30. Where no question is slow, each may be answered, or be late; but in time."""

    def test_deadline(self, provider: ModelUnderTest) -> None:
        """At the deadline there is a ModelError, or there was the answer (C33)."""
        self._hold(provider.complete, self.slow_request, 0.3)

    def test_deadline_of_a_stream(self, provider: ModelUnderTest) -> None:
        """A stream ends by its deadline, too, whatever it had said by then (C33)."""
        self._hold(provider.stream, self.slow_request, 0.3)
        self._hold(provider.stream, self.endless_request, 0.3)

    def test_passed_deadline(self, provider: ModelUnderTest) -> None:
        """A deadline that has passed waits for nothing (C33)."""
        self._hold(provider.complete, self.slow_request, -1.0)
        self._hold(provider.stream, self.slow_request, -1.0)

    def test_kept_deadline(self, provider: ModelUnderTest) -> None:
        """In time, a deadline changes nothing (C33)."""
        answer = provider.complete(self.with_timeout())
        self.check_equal(answer, provider.complete(self.request))

    def test_after_the_deadline(self, provider: ModelUnderTest) -> None:
        """What was late leaves the model to the next question (C33)."""
        for _ in range(2):
            self._hold(provider.complete, self.slow_request, 0.1)
        self.check_completion(provider.complete(self.with_timeout()))

    def test_free_loop(self, raw_model: Model) -> None:
        """The event loop serves others while an answer is waited for, or a piece (C30)."""
        mode = AsyncMode()
        with mode:
            for ask in (raw_model.acomplete, partial(_last_item, raw_model)):
                seconds, turns = mode.run(partial(self._beside, ask))
                assert turns > 3 or seconds < SLOW / 2, "the event loop stood still"

    async def _beside(self, ask: Callable[[ModelRequest], Any]) -> tuple[float, int]:
        """Ask what is slow; return how long it took, and how often the loop came round."""
        start, turns = monotonic(), 0
        question = attrs.evolve(self.slow_request or self.request, deadline=start + SLOW)
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
        assert monotonic() - start < max(0.0, seconds) + self.deadline_slack


async def _last_item(model: Model, request: ModelRequest) -> object:
    return (await collect(model.astream(request)))[-1]


class FailureTests(ContractFixtures):
    """C34, and C23. Where nothing fails, ``PromptTests`` holds the model to that."""

    def test_failure(self, provider: ModelUnderTest) -> None:
        """A failure is a ModelError that says whether another try may help (C34)."""
        for _, retryable, error in self._faults(provider.complete):
            assert error.retryable is retryable

    def test_failure_of_a_stream(self, provider: ModelUnderTest) -> None:
        """A stream raises what complete raises (C34)."""
        for _, retryable, error in self._faults(provider.stream):
            assert error.retryable is retryable

    def test_when_to_try_again(self, provider: ModelUnderTest) -> None:
        """When to try again is told in seconds from 0, or not at all (C34)."""
        for _, retryable, error in self._faults(provider.complete):
            if error.retry_after is not None:
                assert retryable
                assert isfinite(error.retry_after)
                assert error.retry_after >= 0

    def test_nothing_is_quoted(self, provider: ModelUnderTest) -> None:
        """No error quotes a prompt or a key, nor does what stands behind it (C23)."""
        for ask in (provider.complete, provider.stream):
            for request, _, error in self._faults(ask):
                assert str(error), "say what is wrong"
                self._check_quiet(_told(error), request)

    def test_nothing_is_logged(
        self, provider: ModelUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        """No log tells a prompt, an answer or a key, at whatever level (C23)."""
        with caplog.at_level(logging.DEBUG):
            answer = provider.complete(self.request)
            self._check_quiet(caplog.text, self.request)
            assert answer.text not in caplog.text
            for request, _, _ in self._faults(provider.complete):
                self._check_quiet(caplog.text, request)

    def test_repr(self, raw_model: Model) -> None:
        """A model's repr tells no key (C23)."""
        assert not [secret for secret in self.secrets if secret in f"{raw_model!r} {raw_model}"]

    def test_after_a_failure(self, provider: ModelUnderTest) -> None:
        """A failure leaves the model to the next question (C34)."""
        for _ in self._faults(provider.complete):
            self.check_completion(provider.complete(self.with_timeout()))
        for _ in self._faults(provider.stream):
            self.check_stream(provider.stream(self.with_timeout()))

    def _faults(
        self, ask: Callable[[ModelRequest], object]
    ) -> Iterator[tuple[ModelRequest, bool, ModelError]]:
        for request, retryable in self.failing_requests:
            with pytest.raises(ModelError) as caught:
                ask(self.with_timeout(request))
            yield request, retryable, caught.value

    def _check_quiet(self, told: str, request: ModelRequest) -> None:
        assert len(request.prompt) >= 8, "give prompts of eight characters or more"
        for hidden in (request.prompt, request.system_prompt, *self.secrets):
            assert not hidden or hidden not in told


def _told(error: BaseException) -> str:
    """Return all that a traceback would tell of an error and of those that it stands on."""
    told, step = "", error
    while step is not None:
        told += f"{step} {step!r} {' '.join(getattr(step, '__notes__', ()))}\n"
        following = step.__cause__
        if following is None and not step.__suppress_context__:
            following = step.__context__
        if following is None:
            return told
        step = following
    return told
