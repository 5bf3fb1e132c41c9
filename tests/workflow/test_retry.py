"""Retries: what is tried again, how often, and how long is waited in between."""

import ssl
import time
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    ConflictError,
    FunctionNode,
    InvalidArgumentError,
    LLMNode,
    ModelError,
    NodeExecutionError,
    OutcomeUnknownError,
    Retry,
    ValueTooLargeError,
    Workflow,
    WorkflowValidationError,
)


class Unsteady:
    """A function that raises these faults, one a call, and then returns."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.calls = 0

    def __call__(self, _: Any) -> str:
        self.calls += 1
        if self.faults:
            raise self.faults.pop(0)
        return "done"


class ClientError(Exception):
    """What a client of some service raises, about whatever."""


class NoJSONError(OSError, ValueError):
    """What a client raises where a gateway answers with a page of its own."""


PASSING = [
    ModelError("busy", retryable=True),
    OSError(),
    TimeoutError(),
    ClientError(),
    NoJSONError(),
    RuntimeError(),
    BackendUnavailableError("away"),
    ConflictError("others won"),
    ExceptionGroup("both", [OSError(), ClientError()]),
]
LASTING = [
    ModelError("no such model"),
    InvalidArgumentError("wrong"),
    OutcomeUnknownError("perhaps written"),
    ValueTooLargeError("too large"),
    KeyError("name"),
    IndexError(),
    TypeError(),
    ValueError(),
    AttributeError(),
    NameError(),
    AssertionError(),
    ZeroDivisionError(),
    NotImplementedError(),
    ModuleNotFoundError(),
    ssl.SSLCertVerificationError(),
    ExceptionGroup("both", [OSError(), KeyError()]),
]
CHOSEN = [
    (KeyError, KeyError("name"), 2),
    (LookupError, KeyError("name"), 2),
    (KeyError, OSError(), 1),
    ((OSError, KeyError), KeyError("name"), 2),
    (Exception, ModelError("no such model"), 2),
    (lambda fault: "busy" in str(fault), ValueError("busy"), 2),
    (lambda fault: "busy" in str(fault), OSError("away"), 1),
]


@pytest.mark.parametrize("retry", [4, Retry(attempts=4)])
@pytest.mark.parametrize("make", [lambda f, r: FunctionNode("n", f, retry=r),
                                  lambda f, r: LLMNode("n", f, "x", retry=r)])  # fmt: skip
def test_what_may_pass(workflow: Workflow, execute: Any, retry: Any, make: Any) -> None:
    """A node is tried again after what may pass, in all as often as its retry says."""
    function = Unsteady(*([ModelError("busy", retryable=True)] * 2))
    retry = Retry(attempts=retry, backoff=0) if isinstance(retry, int) else Retry(backoff=0)
    workflow.add_node(make(function, retry))
    result = execute(workflow)
    assert (result["n"], result.trace["n"].attempts, function.calls) == ("done", 3, 3)


@pytest.mark.parametrize("fault", PASSING, ids=repr)
def test_faults_that_may_pass(workflow: Workflow, execute: Any, fault: Exception) -> None:
    """What may pass by itself is tried again: a retryable ModelError, a store that is away, what
    the system and clients raise."""
    function = Unsteady(fault)
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0)))
    assert execute(workflow)["n"] == "done"


@pytest.mark.parametrize("fault", LASTING, ids=repr)
def test_faults_that_last(workflow: Workflow, execute: Any, fault: Exception) -> None:
    """What stays as it is, is not tried again: mistakes of the program, errors about arguments."""
    function = Unsteady(fault)
    workflow.add_node(FunctionNode("n", function, retry=5))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert function.calls == 1


@pytest.mark.parametrize(("on", "fault", "calls"), CHOSEN)
def test_faults_that_are_chosen(
    workflow: Workflow, execute: Any, on: Any, fault: Exception, calls: int
) -> None:
    """With ``on``, that alone decides: a class, several, or a function."""
    function = Unsteady(fault, fault)
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0, on=on)))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert function.calls == calls


async def later(_: Exception) -> bool:
    """A function that can't say at once."""
    return True


class Later:
    """An object that can't say at once either."""

    async def __call__(self, _: Exception) -> bool:
        return True


@pytest.mark.parametrize("on", ["KeyError", (), (KeyError, "x"), [KeyError], BaseException,
                                KeyboardInterrupt, int, KeyError(), later, Later()])  # fmt: skip
def test_what_on_is_not(on: Any) -> None:
    """What is neither a class of exceptions, nor a tuple of them, nor a function is refused."""
    with pytest.raises(WorkflowValidationError, match=r"^on must be an exception class"):
        Retry(on=on)


def test_the_last_attempt(workflow: Workflow, execute: Any) -> None:
    """After the last attempt its fault is told, and no pause is made."""
    function = Unsteady(OSError("1"), OSError("2"), OSError("3"))
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0)))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert function.calls == 2
    assert repr(told.value.cause) == "OSError('2')"


def test_one_attempt_is_the_default(workflow: Workflow, execute: Any) -> None:
    """A node without a retry is tried once."""
    function = Unsteady(OSError())
    workflow.add_node(FunctionNode("n", function))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert function.calls == 1


def test_a_number_is_attempts() -> None:
    """``retry=3`` is Retry(attempts=3); None is one attempt."""
    assert FunctionNode("n", print, retry=3).retry == Retry(attempts=3, backoff=0.5, jitter=0.5)
    assert FunctionNode("n", print).retry.attempts == 1


def test_backoff_doubles() -> None:
    """Pauses double from the backoff to a minute; jitter takes part of each away."""
    steady = Retry(backoff=0.5, jitter=0)
    pauses = [steady.pause(attempt, OSError()) for attempt in (1, 2, 3, 8, 99)]
    assert pauses == [0.5, 1, 2, 60, 60]
    for _ in range(100):
        assert 0.25 <= Retry(backoff=0.5).pause(1, OSError()) <= 0.5


def test_a_provider_asks_for_more() -> None:
    """A pause is as long as the provider asks, if that is longer."""
    retry = Retry(backoff=1, jitter=0)
    assert retry.pause(1, ModelError("busy", retryable=True, retry_after=90)) == 90
    assert retry.pause(1, ModelError("busy", retryable=True, retry_after=0.1)) == 1


def test_the_pause_is_made(workflow: Workflow, execute: Any) -> None:
    """The next attempt comes after the pause."""
    function = Unsteady(ModelError("busy", retryable=True, retry_after=0.2))
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0)))
    start = time.monotonic()
    execute(workflow)
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("whose", ["node", "workflow"])
def test_no_pause_over_the_deadline(execute: Any, whose: str) -> None:
    """A pause that would end after the deadline is not made: the fault is told at once."""
    workflow = Workflow("flow", timeout=5 if whose == "workflow" else None)
    function = Unsteady(ModelError("busy", retryable=True, retry_after=60))
    own = 5 if whose == "node" else None
    workflow.add_node(FunctionNode("n", function, retry=3, timeout=own))
    start = time.monotonic()
    with pytest.raises(NodeExecutionError, match="ModelError: busy"):
        execute(workflow)
    assert time.monotonic() - start < 4
    assert function.calls == 1


def test_a_pause_without_end(workflow: Workflow) -> None:
    """A provider that asks for a pause without end gets none: its own error is told."""

    def model(_: Any) -> str:
        raise ModelError("busy", retryable=True, retry_after=float("inf"))

    workflow.add_node(LLMNode("n", model, "x", retry=2))
    with pytest.raises(NodeExecutionError, match="ModelError: busy"):
        workflow.execute()
