"""Failures: one error, that says whether to try again, and nothing that is secret."""

import logging
from collections.abc import Callable, Iterator
from math import isfinite

import pytest

from fibonacci.errors import ModelError
from fibonacci.plugin import Model, ModelRequest
from fibonacci.testing.provider.bench import Bench
from fibonacci.testing.provider.spoken import SpokenModel


class Failures(Bench):
    """C34, and C23. Where nothing fails, ``Questions`` holds the model to that."""

    def test_failure(self, provider: SpokenModel) -> None:
        """A failure is a ModelError that says whether another try may help (C34)."""
        for _, retryable, fault in self._faults(provider.complete):
            assert fault.retryable is retryable

    def test_failure_of_a_stream(self, provider: SpokenModel) -> None:
        """A stream raises what complete raises (C34)."""
        for _, retryable, fault in self._faults(provider.pieces):
            assert fault.retryable is retryable

    def test_when_to_try_again(self, provider: SpokenModel) -> None:
        """When to try again is told in seconds from 0, or not at all (C34)."""
        for _, retryable, fault in self._faults(provider.complete):
            if fault.retry_after is not None:
                assert retryable
                assert isfinite(fault.retry_after)
                assert fault.retry_after >= 0

    def test_nothing_is_quoted(self, provider: SpokenModel) -> None:
        """No error quotes a prompt or a key, nor does what stands behind it (C23)."""
        for ask in (provider.complete, provider.pieces):
            for request, _, fault in self._faults(ask):
                assert str(fault), "say what is wrong"
                self._check_quiet(_told(fault), request)

    def test_nothing_is_logged(
        self, provider: SpokenModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        """No log tells a prompt, an answer or a key, at whatever level (C23)."""
        with caplog.at_level(logging.DEBUG):
            answer = provider.complete(self.request)
            self._check_quiet(caplog.text, self.request)
            assert answer.text not in caplog.text
            for request, _, _ in self._faults(provider.complete):
                self._check_quiet(caplog.text, request)

    def test_repr(self, bare: Model) -> None:
        """A model's repr tells no key (C23)."""
        assert not [secret for secret in self.secrets if secret in f"{bare!r} {bare}"]

    def test_after_a_failure(self, provider: SpokenModel) -> None:
        """A failure leaves the model to the next question (C34)."""
        for _ in self._faults(provider.complete):
            self.sound(provider.complete(self.patient()))
        for _ in self._faults(provider.pieces):
            self.whole(provider.pieces(self.patient()))

    def _faults(
        self, ask: Callable[[ModelRequest], object]
    ) -> Iterator[tuple[ModelRequest, bool, ModelError]]:
        for request, retryable in self.failing:
            with pytest.raises(ModelError) as caught:
                ask(self.patient(request))
            yield request, retryable, caught.value

    def _check_quiet(self, told: str, request: ModelRequest) -> None:
        assert len(request.prompt) >= 8, "give prompts of eight characters or more"
        for hidden in (request.prompt, request.system_prompt, *self.secrets):
            assert not hidden or hidden not in told


def _told(fault: BaseException) -> str:
    """Return all that a traceback would tell of an error and of those that it stands on."""
    told, step = "", fault
    while step is not None:
        told += f"{step} {step!r} {' '.join(getattr(step, '__notes__', ()))}\n"
        following = step.__cause__
        if following is None and not step.__suppress_context__:
            following = step.__context__
        if following is None:
            return told
        step = following
    return told
