"""What a signal handler raises is told from what a driver raises."""

import functools
import signal

import pytest

from fibonacci.plugin.runtime import raise_for_signal


class JobTimeoutError(Exception):
    """As a worker's soft time limit raises it."""


class DriverError(Exception):
    """As a driver raises it."""


class Handler:
    """A callable object."""

    def __call__(self, number, frame):
        raise JobTimeoutError


def _raises(*_):
    raise JobTimeoutError


def _named(number, frame):
    raise TimeoutError("the job's time is over")


def _once(number, frame):
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    raise JobTimeoutError


def _partial(name, number, frame):
    raise JobTimeoutError(name)


@pytest.fixture
def install():
    before = signal.getsignal(signal.SIGUSR2)
    yield lambda handler: signal.signal(signal.SIGUSR2, handler)
    signal.signal(signal.SIGUSR2, before)


def call():
    """A call whose driver is interrupted, and tells so as its own error."""
    try:
        signal.raise_signal(signal.SIGUSR2)
    except Exception as error:
        raise DriverError("the connection broke") from error


def verb():
    """A verb over it."""
    try:
        call()
    except DriverError as error:
        raise_for_signal(error)
        raise AssertionError("it was taken for the driver's") from None


HANDLERS = [_raises, _named, _once, Handler(), functools.partial(_partial, "job")]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda one: getattr(one, "__name__", "object"))
def test_what_a_handler_raised_comes_out(install, handler):
    """An exception of a handler is raised again, from whatever a driver made of it."""
    install(handler)
    with pytest.raises((JobTimeoutError, TimeoutError)):
        verb()


def test_what_python_raises_itself_comes_out():
    """Ctrl-C comes out of what a driver made of it, also where Python's own handler raised it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            told_as_an_error()
    finally:
        signal.signal(signal.SIGINT, before)


def told_as_an_error():
    try:
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as error:
            raise DriverError from error
    except DriverError as error:
        raise_for_signal(error)


def test_what_a_driver_raised_stays():
    """Exceptions of other code are left to the caller, also those without a traceback."""
    raise_for_signal(DriverError())
    for raised in (TimeoutError("timed out"), DriverError("refused"), OSError(111, "refused")):
        try:
            raise raised
        except (OSError, DriverError) as error:
            raise_for_signal(error)


def test_what_an_application_handles_already_stays(install):
    """A call made while an application handles a handler's exception has errors of its own."""
    install(_raises)

    def refused():
        try:
            raise DriverError("refused")
        except DriverError as error:
            raise_for_signal(error)
            return "refused"

    try:
        signal.raise_signal(signal.SIGUSR2)
    except JobTimeoutError:
        assert refused() == "refused"


def test_a_circle_of_causes_ends():
    """Exceptions that name each other as their cause are looked at once."""
    first, second = DriverError(), DriverError()
    first.__cause__, second.__cause__ = second, first
    raise_for_signal(first)


def test_a_function_may_look_for_its_caller(install):
    """What a handler raised is found as well by a function that the ``except`` block calls."""
    install(_raises)

    def told(fault):
        raise_for_signal(fault)
        return "the driver's"

    def verb_over_it():
        try:
            signal.raise_signal(signal.SIGUSR2)
        except Exception as fault:  # noqa: BLE001 - whatever it is
            return told(fault)

    with pytest.raises(JobTimeoutError):
        verb_over_it()
