"""An exception of a signal handler during a generation is raised unchanged."""

import signal

import pytest

from fibonacci.plugin import Model

from .model_requests import ENDLESS


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("error", [TimeoutError("an application's own"), OSError("another")])
def test_interrupted_request_raises_the_handlers_exception(model: Model, error: OSError) -> None:
    """An exception of a signal handler is raised unchanged, even an OSError."""

    def ring(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGALRM, ring)
    stream = model.stream(ENDLESS)
    try:
        next(stream)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(type(error)) as caught:
            list(stream)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught.value is error
