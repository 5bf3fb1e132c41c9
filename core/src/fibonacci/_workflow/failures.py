"""The error of a failed run: its message, and which parts of it are pickled."""

import copyreg
from typing import Any, NamedTuple, TypeVar

from fibonacci._workflow.compiled_node import CompiledFunctionNode, CompiledNode
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import WorkflowRun
from fibonacci.errors import FibonacciError, NodeExecutionError, WorkflowTimeoutError
from fibonacci.plugin._runtime.signals import raise_for_signal

F = TypeVar("F", bound=NodeExecutionError)


class Failure(NamedTuple):
    """A node that failed."""

    node: CompiledNode
    cause: BaseException
    is_overdue: bool
    """Whether the run's own deadline had passed by then."""


def build_error(run: WorkflowRun, failure: Failure) -> BaseException:
    """Return the error of a failed run, its cause chained."""
    node_id, cause = failure.node.id, failure.cause
    if not isinstance(cause, Exception):
        return cause
    error_class, text = NodeExecutionError, f"node {node_id!r} failed: {message_of(cause)}"
    if failure.is_overdue:
        text = (
            f"the workflow exceeded its timeout of {run.timeout} s; "
            f"node {node_id!r} had not finished"
        )
    if failure.is_overdue or (
        isinstance(cause, WorkflowTimeoutError) and not _is_from_function(cause)
    ):
        error_class = WorkflowTimeoutError
    succeeded = dict(run.outcomes)
    ended = ExecutionResult(
        run.id, {**succeeded, **run.failed}, run.clock_offset, dict(run.compactions)
    )
    error = error_class(
        text,
        node_id=node_id,
        cause=cause,
        results={name: outcome.output for name, outcome in succeeded.items()},
        trace={**ended.trace},
        usage=ended.usage,
        output=run.unwritten.get(node_id),
        run_id=run.id,
    )
    error.__cause__ = cause
    return error


def message_of(cause: Exception) -> str:
    """Return what may be shown of a cause; of a library's only its type: a text may quote a key."""
    if isinstance(cause, FibonacciError) or _is_from_function(cause):
        return type_and_text(cause)
    return type(cause).__name__


def _is_from_function(cause: Exception) -> bool:
    """Return whether a FunctionNode's function raised it: its author knows what is in the text."""
    frame = cause.__traceback__
    while frame is not None and frame.tb_frame.f_code is not CompiledFunctionNode.attempt.__code__:
        frame = frame.tb_next
    return frame is not None


def type_and_text(error: BaseException) -> str:
    """Return the name of its type and the beginning of its text, if it has one."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as raised:  # noqa: BLE001 - its own __str__ may do anything
        raise_for_signal(raised)
        text = ""
    return f"{name}: {text[:1_000]}" if text else name


def _reduce(error: F) -> tuple[type[F], tuple[Any, ...], dict[str, Any]]:
    """Reduce an error to the parts of it that can be pickled."""
    cause = error.cause
    if cause is not None and not _is_picklable(cause):
        cause = Exception(type_and_text(cause))
    results = {name: output for name, output in error.results.items() if _is_picklable(output)}
    state = {"cause": cause, "results": results}
    others = {
        name: value
        for name, value in vars(error).items()
        if name not in state and _is_picklable(value)
    }
    return type(error), error.args, {**others, **state}


def _is_picklable(value: object) -> bool:
    """Return whether a pickle of it can be loaded; only what was just dumped is loaded."""
    import pickle  # noqa: TID251

    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301
    except Exception as raised:  # noqa: BLE001 - its own methods may do anything
        raise_for_signal(raised)
        return False
    return True


# Not as their __reduce__: the errors import nothing.
copyreg.pickle(NodeExecutionError, _reduce)
copyreg.pickle(WorkflowTimeoutError, _reduce)
