"""Exceptions that a signal handler raised during a call."""

import inspect
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType


def raise_for_signal(error: BaseException) -> None:
    """Raise the exception of a signal handler again, if this is one, or was caused by one.

    Python may run a signal handler between any two steps of a call. What it raises (Ctrl-C, a soft
    time limit, an alarm) propagates from the running function, such as a driver's ``send``. It
    says nothing about the server or the record, and the application waits for it. So call this
    first wherever an exception of a driver, or of other foreign code, is turned into ours::

        try:
            reply = connection.exchange(request)
        except DriverError as error:
            raise_for_signal(error)
            raise no_response_error("the connection broke", server, maybe_applied=sent) from None

    Such an exception may come right after the last byte was sent: set ``sent`` before sending.
    """
    for one in _chain(error):
        if _is_from_handler(one) and not _is_handled_further_up(one, error):
            raise one


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it came of; a driver may have made another one of it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _is_from_handler(error: BaseException) -> bool:
    if isinstance(error, KeyboardInterrupt):  # Python's own handler is no function of Python's
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler or _has_frame(error)
    return _has_frame(error)


def _has_frame(error: BaseException) -> bool:
    """Say whether a handler is among the functions that it passed."""
    trace: TracebackType | None = error.__traceback__
    handlers = _handlers_code() if trace else set()
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code in handlers or _was_given_its_caller(frame):
            return True
        trace = trace.tb_next
    return False


def _handlers_code() -> set[object]:
    """The code of all handlers that are set."""
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # functools.partial
        code = getattr(handler, "__code__", None)
        if code is None and callable(handler):
            code = getattr(getattr(type(handler), "__call__"), "__code__", None)  # noqa: B004, B009
        found.add(code)
    return found - {None}


def _was_given_its_caller(frame: FrameType) -> bool:
    """Say whether an argument is the frame that was interrupted, as Python gives it to handlers.

    One that has set another handler meanwhile is found by this alone.
    """
    caller, code = frame.f_back, frame.f_code
    if caller is None or code.co_argcount + bool(code.co_flags & inspect.CO_VARARGS) == 0:
        return False
    given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 1]
    values = [frame.f_locals.get(name) for name in given]
    return any(
        value is caller or (isinstance(value, tuple) and any(one is caller for one in value))
        for value in values
    )


def _is_handled_further_up(origin: BaseException, error: BaseException) -> bool:
    """Say whether an application handles ``origin`` just now, and made this call while it does."""
    if origin is error or origin.__traceback__ is None or error.__traceback__ is None:
        return False
    # The first frame of a traceback is the one that caught the exception.
    where = origin.__traceback__.tb_frame
    frame = error.__traceback__.tb_frame.f_back
    while frame is not None:
        if frame is where:
            return True
        frame = frame.f_back
    return False
