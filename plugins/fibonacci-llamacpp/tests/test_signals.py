"""What a signal's handler raises in the midst of an answer comes out as itself."""

import signal

import pytest

from fibonacci.plugin import Model

from .questions import ENDLESS


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("fault", [TimeoutError("an application's own"), OSError("another")])
def test_an_answer_that_is_interrupted(model: Model, fault: OSError) -> None:
    """Also what might be taken for the deadline, or for a connection that broke."""

    def ring(*_: object) -> None:
        raise fault

    before = signal.signal(signal.SIGALRM, ring)
    stream = model.stream(ENDLESS)
    try:
        next(stream)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(type(fault)) as caught:
            list(stream)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught.value is fault
