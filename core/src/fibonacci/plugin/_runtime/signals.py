"""Exceptions that a signal handler raised during a call."""

import inspect
import signal
from collections.abc import Iterator
from types import FrameType


def raise_for_signal(error: BaseException) -> None:
    """Raise the exception of a signal handler again, if this is one, or was caused by one.

    Python may run a signal handler between any two steps of a call. Its exception (Ctrl-C, a soft
    time limit, an alarm) propagates from the running function, such as a driver's ``send``. It
    says nothing about the server or the record, and the application waits for it. So call this
    first wherever you map an exception of a driver, or of other foreign code, to one of ours::

        try:
            reply = connection.exchange(request)
        except DriverError as error:
            raise_for_signal(error)
            raise no_response_error("the connection broke", server, maybe_applied=sent) from None

    Such an exception may come right after the last byte was sent: set ``sent`` before sending.
    """
    for link in _chain(error):
        if _is_from_handler(link) and not _is_handled_further_up(link, error):
            context = link.__context__
            try:
                raise link
            finally:
                # As it was, and in no reference cycle, neither with a driver's exception whose
                # cause it is nor with this frame. A cycle would keep the interrupted frames alive
                # until the garbage collector runs, and with them a lock or a transaction.
                link.__context__ = context
                del link, error


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and its causes: a driver may have raised its own instead of the first."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_from_handler(error: BaseException) -> bool:
    if isinstance(error, KeyboardInterrupt):  # Python's own handler is written in C
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler or _has_frame(error)
    return _has_frame(error)


def _has_frame(error: BaseException) -> bool:
    """Return whether the traceback has the frame of a signal handler."""
    # Not the first frame: that is the one that caught the exception, in which the handler was
    # called. Up to Python 3.12 `f_locals` would copy its variables, and the copy would stay: the
    # exception would be kept alive by its own traceback.
    trace = error.__traceback__ and error.__traceback__.tb_next
    handlers = _handlers_code() if trace else set()
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code in handlers or _has_caller_as_argument(frame):
            return True
        trace = trace.tb_next
    return False


def _handlers_code() -> set[object]:
    """Return the code objects of all installed handlers."""
    found = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        handler = getattr(handler, "func", handler)  # functools.partial
        code = getattr(handler, "__code__", None)
        if code is None and callable(handler):
            code = getattr(getattr(type(handler), "__call__"), "__code__", None)  # noqa: B004, B009
        found.add(code)
    return found - {None}


def _has_caller_as_argument(frame: FrameType) -> bool:
    """Return whether an argument is the interrupted frame, which Python passes to handlers.

    Only this finds a handler that has since replaced itself by another one.
    """
    caller, code = frame.f_back, frame.f_code
    if caller is None or code.co_argcount + bool(code.co_flags & inspect.CO_VARARGS) == 0:
        return False
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + 1]
    values = [frame.f_locals.get(name) for name in parameters]
    return any(
        value is caller or (isinstance(value, tuple) and any(item is caller for item in value))
        for value in values
    )


def _is_handled_further_up(origin: BaseException, error: BaseException) -> bool:
    """Return whether the application made this call in an ``except`` block for ``origin``."""
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
