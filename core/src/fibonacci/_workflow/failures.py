"""The error of a run that failed: what it tells, and what of it reaches another process."""

import copyreg
from typing import Any, TypeVar

from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import Run
from fibonacci._workflow.schedule import Failure
from fibonacci._workflow.step import FunctionStep
from fibonacci.errors import FibonacciError, NodeExecutionError, WorkflowTimeoutError
from fibonacci.plugin._runtime.signals import raise_for_signal

F = TypeVar("F", bound=NodeExecutionError)


def told(run: Run, failure: Failure) -> BaseException:
    """The error for a run that failed, its cause chained."""
    node_id, cause = failure.step.node.id, failure.cause
    if not isinstance(cause, Exception):
        return cause
    kind, text = NodeExecutionError, f"node {node_id!r} failed: {_text_of(cause)}"
    if failure.overdue:
        text = (
            f"the workflow took longer than its timeout of {run.timeout} s; "
            f"node {node_id!r} had not ended"
        )
    if failure.overdue or (isinstance(cause, WorkflowTimeoutError) and not _is_own(cause)):
        kind = WorkflowTimeoutError
    ended = ExecutionResult(dict(run.records), run.began_at - run.began)
    fault = kind(
        text,
        node_id=node_id,
        cause=cause,
        results=dict(ended),
        trace={**ended.trace},
        usage=ended.usage,
    )
    fault.__cause__ = cause
    return fault


def _text_of(cause: Exception) -> str:
    """What may be told of a cause: of others' code the type alone, as its text may quote a key."""
    if isinstance(cause, FibonacciError) or _is_own(cause):
        return _described(cause)
    return type(cause).__name__


def _is_own(cause: Exception) -> bool:
    """Say whether it came out of a FunctionNode's function: what that raises, its author knows."""
    step = cause.__traceback__
    while step is not None and step.tb_frame.f_code is not FunctionStep.ask.__code__:
        step = step.tb_next
    return step is not None


def _described(fault: BaseException) -> str:
    name = type(fault).__name__
    try:
        text = str(fault)
    except Exception as raised:  # noqa: BLE001 - its own __str__ may do anything
        raise_for_signal(raised)
        text = ""
    return f"{name}: {text[:1_000]}" if text else name


def _reduced(fault: F) -> tuple[type[F], tuple[Any, ...], dict[str, Any]]:
    """Pickle an error with all of it that can be pickled."""
    cause = fault.cause
    if cause is not None and not _survives(cause):
        cause = Exception(_described(cause))
    results = {name: output for name, output in fault.results.items() if _survives(output)}
    own = {"cause": cause, "results": results}
    more = {name: one for name, one in vars(fault).items() if name not in own and _survives(one)}
    return type(fault), fault.args, {**more, **own}


def _survives(value: object) -> bool:
    """Say whether it comes out of a pickle again; nothing is read but what was just written."""
    import pickle  # noqa: TID251

    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301
    except Exception as raised:  # noqa: BLE001 - its own methods may do anything
        raise_for_signal(raised)
        return False
    return True


# Not as their __reduce__: the errors import nothing.
copyreg.pickle(NodeExecutionError, _reduced)
copyreg.pickle(WorkflowTimeoutError, _reduced)
