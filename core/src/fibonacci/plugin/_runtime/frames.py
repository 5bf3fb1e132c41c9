"""Errors without the frames that they passed."""

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
