"""An exception of a signal handler is distinguished from a driver's."""

import functools
import gc
import signal
import weakref
from contextlib import suppress

import pytest

from fibonacci.plugin.runtime import raise_for_signal


class JobTimeoutError(Exception):
    """Raised as by a worker's soft time limit."""


class DriverError(Exception):
    """Raised as by a driver."""


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
    """Call a driver that is interrupted, and raises its own error about it."""
    try:
        signal.raise_signal(signal.SIGUSR2)
    except Exception as error:
        raise DriverError("the connection broke") from error


def method():
    """Call it as a method does."""
    try:
        call()
    except DriverError as error:
        raise_for_signal(error)
        raise AssertionError("it was taken for the driver's") from None


HANDLERS = [_raises, _named, _once, Handler(), functools.partial(_partial, "job")]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda one: getattr(one, "__name__", "object"))
def test_exception_of_a_handler_is_raised_again(install, handler):
    """An exception of a handler is raised again, whatever a driver turned it into."""
    install(handler)
    with pytest.raises((JobTimeoutError, TimeoutError)):
        method()


class Transaction:
    """Ends when it is collected."""


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda one: getattr(one, "__name__", "object"))
@pytest.mark.parametrize("interrupted", [signal.raise_signal, lambda _: call()])
def test_interrupted_frames_are_freed_at_once(install, handler, interrupted):
    """What an interrupted function holds is freed with the exception, not by the collector."""
    transactions = []

    def write():
        transaction = Transaction()
        transactions.append(weakref.ref(transaction))
        interrupted(signal.SIGUSR2)

    install(handler)
    gc.disable()
    try:
        with suppress(JobTimeoutError, TimeoutError):
            try:
                write()
            except Exception as error:
                raise_for_signal(error)
                raise
        assert [reference() for reference in transactions] == [None]
    finally:
        gc.enable()


def test_keyboard_interrupt_is_raised_again():
    """KeyboardInterrupt is raised again, also if Python's default handler raised it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            raise_driver_error()
    finally:
        signal.signal(signal.SIGINT, before)


def raise_driver_error():
    try:
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as error:
            raise DriverError from error
    except DriverError as error:
        raise_for_signal(error)


def test_exception_of_a_driver_stays():
    """Exceptions of other code are left to the caller, also those without a traceback."""
    raise_for_signal(DriverError())
    for raised in (TimeoutError("timed out"), DriverError("refused"), OSError(111, "refused")):
        try:
            raise raised
        except (OSError, DriverError) as error:
            raise_for_signal(error)


def test_exception_that_is_being_handled_stays(install):
    """A call made while the application handles a handler's exception has its own errors."""
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


def test_cycle_of_causes_ends():
    """Exceptions that are each other's cause are looked at once."""
    first, second = DriverError(), DriverError()
    first.__cause__, second.__cause__ = second, first
    raise_for_signal(first)


def test_function_called_by_the_except_block(install):
    """An exception of a handler is also found by a function that the ``except`` block calls."""
    install(_raises)

    def handle(error):
        raise_for_signal(error)
        return "the driver's"

    def method_over_it():
        try:
            signal.raise_signal(signal.SIGUSR2)
        except Exception as error:  # noqa: BLE001 - whatever it is
            return handle(error)

    with pytest.raises(JobTimeoutError):
        method_over_it()
