"""Timeouts of workflows and nodes: which values they take, and calls that end at a deadline.

A node's deadline is computed once, by `earlier_deadline`, when the node starts. Its model or its
function is called through `call_before` or `await_before`, and `node_timeout_error` is the error.
"""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from fibonacci._memory.numbers import MAX_TIMEOUT, is_number
from fibonacci.errors import WorkflowTimeoutError
from fibonacci.plugin._runtime.threads import capture_outcome, submit_to_thread
from fibonacci.plugin._runtime.timing import timeout_at

if TYPE_CHECKING:
    from asyncio import Timeout

T = TypeVar("T")

TIMEOUT_RULE: Final = "a number of seconds over 0 and up to a day, or None"


def is_timeout(value: Any) -> bool:
    """Return whether a workflow or a node takes this as its timeout."""
    return value is None or (is_number(value) and 0 < value <= MAX_TIMEOUT)


class NodeDeadlineExceeded(Exception):  # noqa: N818 - internal: users get WorkflowTimeoutError
    """The deadline of a node, or of its run, passed before a call ended."""


def has_passed(deadline: float | None) -> bool:
    """Return whether the deadline has passed; None never passes."""
    return deadline is not None and monotonic() >= deadline


def earlier_deadline(timeout: float | None, deadline: float | None) -> float | None:
    """Return the deadline of work that starts now: after its timeout, or with its run."""
    if timeout is None:
        return deadline
    own = monotonic() + timeout
    return own if deadline is None else min(own, deadline)


def node_timeout_error(
    node_id: str, timeout: float | None, run_timeout: float | None
) -> WorkflowTimeoutError:
    """Return the error of a node that exceeded its timeout; None: it exceeded the run's."""
    limit = f"its timeout of {timeout} s"
    if timeout is None:
        limit = f"the time left of the workflow's timeout of {run_timeout} s"
    return WorkflowTimeoutError(f"node {node_id!r} exceeded {limit}")


def call_before(deadline: float, function: Callable[[], T]) -> T:
    """Call the function in another thread, which goes on if the deadline passes first.

    Raises NodeDeadlineExceeded.
    """
    outcomes: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    call = partial(copy_context().run, function)
    submit_to_thread(lambda: outcomes.put(capture_outcome(call)))
    try:
        result, error = outcomes.get(timeout=max(0.0, deadline - monotonic()))
    except Empty:
        raise NodeDeadlineExceeded from None
    if error is not None:
        raise error
    return cast(T, result)


async def await_before(deadline: float | None, awaitable: Awaitable[T]) -> T:
    """Await, and cancel at the deadline. Raises NodeDeadlineExceeded."""
    if deadline is None:
        return await awaitable
    timeout = timeout_at(deadline)
    try:
        async with timeout:
            result = await awaitable
    except TimeoutError:
        if timeout.expired():
            raise NodeDeadlineExceeded from None
        raise
    return _unless_expired(result, timeout)


def _unless_expired(result: T, timeout: "Timeout") -> T:
    if timeout.expired():  # what was awaited swallowed its cancellation
        raise NodeDeadlineExceeded
    return result
