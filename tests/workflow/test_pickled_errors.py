"""Errors can be pickled and copied with their attributes."""

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from failing import failing, in_a_worker, refuse

from fibonacci import (
    FibonacciError,
    ModelError,
    NodeExecutionError,
    TemplateError,
    WorkflowTimeoutError,
)
from fibonacci.plugin import Usage

Again = Callable[[Any], Any]


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.fixture(params=[pickled, copy.copy, copy.deepcopy])
def again(request: pytest.FixtureRequest) -> Again:
    """Makes another error of an error."""
    maker: Again = request.param
    return maker


def tree(root: type[FibonacciError]) -> Iterator[type[FibonacciError]]:
    yield root
    for subclass in root.__subclasses__():
        yield from tree(subclass)


ALL = [error for error in tree(FibonacciError) if error.__module__.startswith("fibonacci.")]
KNOWN: dict[type[FibonacciError], dict[str, Any]] = {
    TemplateError: {"line": 1, "column": 2, "name": "input.x", "nearest": "input.y"},
    ModelError: {"retryable": True, "retry_after": 3.0, "answer": "no"},
    NodeExecutionError: {"node_id": "n", "results": {"a": 1}, "usage": Usage(input_tokens=1)},
    WorkflowTimeoutError: {"node_id": "n", "results": {"a": 1}, "usage": Usage(input_tokens=1)},
}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_pickling(kind: type[FibonacciError], again: Again) -> None:
    """Text and attributes of each error, and those that an application adds, survive pickling."""
    known = KNOWN.get(kind, {})
    error = kind("it failed", **known)
    error.ticket = 7  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    other = again(error)
    assert (type(other), str(other)) == (kind, "it failed")
    assert vars(other) == vars(error)
    assert vars(other) == {**vars(other), **known, "ticket": 7}


def test_run_error_survives_pickling(again: Again) -> None:
    """The error of a run survives with its chained cause, results, trace and usage."""
    error = failing(refuse)
    other = again(error)
    assert str(other) == "node 'bad' failed: ValueError: order 42 has no address"
    assert repr(other.cause) == repr(error.cause)
    assert other.__cause__ is other.cause
    assert (other.node_id, other.results["first"]) == ("bad", "a")
    assert (other.trace, other.usage) == (error.trace, Usage(input_tokens=3))


def test_unpicklable_output_is_left_out() -> None:
    """An output that can't be pickled is left out of the pickled error."""
    assert pickled(failing(refuse)).results == {"first": "a"}


def test_unpicklable_attributes_are_left_out() -> None:
    """An added attribute that can't be pickled is left out of the pickled error."""
    error = failing(refuse)
    error.add_note("order 42")
    error.frame = sys._getframe()  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    copied = pickled(error)
    assert copied.__notes__ == ["order 42"]
    assert (copied.node_id, hasattr(copied, "frame")) == ("bad", False)


class Curious(Exception):  # noqa: N818 - of nobody's tree
    """Can be pickled but not unpickled: its constructor takes two arguments."""

    def __init__(self, order: int, part: str) -> None:
        super().__init__(f"order {order} has no {part}")


def test_unpicklable_cause_becomes_an_exception() -> None:
    """A cause that can't be pickled becomes an Exception with its type and text; copies keep it."""

    class Local(Exception):  # noqa: N818 - of nobody's tree
        pass

    def local(_: Any) -> Any:
        raise Local("here")

    def curious(_: Any) -> Any:
        raise Curious(42, "address")

    assert repr(pickled(failing(local)).cause) == "Exception('Local: here')"
    assert repr(pickled(failing(curious)).cause) == "Exception('Curious: order 42 has no address')"
    error = failing(local)
    assert copy.copy(error).cause is error.cause


def test_process_pool_raises_the_error() -> None:
    """A process pool raises the error of a run in the parent."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        error = pool.submit(in_a_worker).exception()
    assert isinstance(error, NodeExecutionError)
    assert (error.node_id, error.results) == ("bad", {"first": "a"})
    assert isinstance(error.cause, ValueError)
