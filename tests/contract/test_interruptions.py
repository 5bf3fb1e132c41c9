"""The suite's alarm, whose signals interrupt calls."""

from fibonacci.testing.store.interruptions import _Alarm


def test_signal_during_a_call():
    """A signal that arrives during a call raises."""
    alarm = _Alarm(TimeoutError)
    alarm.interrupt(alarm.ring, 60)
    assert isinstance(alarm.raised, TimeoutError)


def test_signal_after_a_call():
    """A signal that another thread passes on after the call interrupts nothing."""
    alarm = _Alarm(TimeoutError)
    alarm.interrupt(lambda: None, 60)
    alarm.ring()
    assert alarm.raised is None
