"""Stop a call at any of its steps, as a signal handler or a finalizer may."""

import sys
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any


class Interrupted(BaseException):
    """Raised by a signal handler."""


def step_into(
    call: Callable[[], object], number: int, act: Callable[[], object], *, files: Collection[str]
) -> list[Any]:
    """Make a call, and call ``act`` before one of its opcodes in these files.

    Returns the results of the two, or what the call raised because of ``act``; without a result of
    ``act`` if the call has fewer opcodes.
    """
    steps, results = count(), []

    def trace(frame: Any, event: str, _: object) -> Any:
        frame.f_trace_opcodes = frame.f_code.co_filename in files
        if event == "opcode" and next(steps) == number:
            results.append(act())
        return trace

    sys.settrace(trace)
    try:
        result = call()
    except Interrupted as interrupted:
        result = interrupted
    finally:
        sys.settrace(None)
    return [result, *results]


def interrupt_at(call: Callable[[], object], number: int, *, files: Collection[str]) -> object:
    """Make a call, interrupted at one of its steps; return its result, or the Interrupted."""

    def interrupt() -> None:
        raise Interrupted

    return step_into(call, number, interrupt, files=files)[0]


def interrupt_each_step(call: Callable[[], object], *, files: Collection[str]) -> Iterator[int]:
    """Make a call, interrupted at its first step, then at its second, and so on to its end.

    Yields the number of the step after each.
    """
    step_into(call, 0, str, files=files)  # Python 3.12 reports no steps at the first time
    for number in count():
        result = interrupt_at(call, number, files=files)
        yield number
        if not isinstance(result, Interrupted):
            return
