"""Errors without the frames that they passed, and errors for several callers."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def without_frames(fault: E) -> E:
    """Return the error without its traceback and context, to be raised anew.

    What collects errors also shows the variables of the functions that they passed. Where those
    hold secrets, their caller catches the error, and raises this outside of the ``except`` block::

        try:
            return parsed(url)
        except ConfigurationError as caught:
            fault = without_frames(caught)
        del url  # it would stand in this function's frame
        raise fault
    """
    fault.__context__ = None
    return fault.with_traceback(None)


def copy_of(fault: E) -> E:
    """Return another error with the same arguments and attributes, for a caller of its own.

    Several threads that raised one and the same exception would write to its traceback at once.
    """
    copy: E = type(fault).__new__(type(fault), *fault.args)
    copy.args = fault.args
    vars(copy).update(vars(fault))
    return copy
