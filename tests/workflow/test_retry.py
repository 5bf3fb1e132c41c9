"""Retries: which errors are retried, how often, and after which pauses."""

import logging
import random
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
from fibonacci.plugin import Completion, Model, ModelRequest


class Unsteady:
    """A function that raises these errors, one a call, and then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, _: Any) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class ClientError(Exception):
    """An exception of some service's client."""


class NoJSONError(OSError, ValueError):
    """Raised by a client if a gateway returns an HTML page."""


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
    (lambda error: "busy" in str(error), ValueError("busy"), 2),
    (lambda error: "busy" in str(error), OSError("away"), 1),
]


@pytest.mark.parametrize("retry", [4, Retry(attempts=4)])
@pytest.mark.parametrize("make", [lambda f, r: FunctionNode("n", f, retry=r),
                                  lambda f, r: LLMNode("n", f, "x", retry=r)])  # fmt: skip
def test_transient_error_is_retried(
    workflow: Workflow, execute: Any, retry: Any, make: Any
) -> None:
    """A node is retried after a transient error, up to the attempts of its Retry."""
    function = Unsteady(*([ModelError("busy", retryable=True)] * 2))
    retry = Retry(attempts=retry, backoff=0) if isinstance(retry, int) else Retry(backoff=0)
    workflow.add_node(make(function, retry))
    result = execute(workflow)
    assert (result["n"], result.trace["n"].attempts, function.calls) == ("done", 3, 3)


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_transient_errors(workflow: Workflow, execute: Any, error: Exception) -> None:
    """Retryable ModelErrors, unavailable stores, OSErrors and errors of clients are transient."""
    function = Unsteady(error)
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0)))
    assert execute(workflow)["n"] == "done"


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_permanent_errors(workflow: Workflow, execute: Any, error: Exception) -> None:
    """Programming errors and errors about arguments are not retried."""
    function = Unsteady(error)
    workflow.add_node(FunctionNode("n", function, retry=5))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert function.calls == 1


@pytest.mark.parametrize(("on", "error", "calls"), CHOSEN)
def test_on_selects_the_errors(
    workflow: Workflow, execute: Any, on: Any, error: Exception, calls: int
) -> None:
    """``on`` replaces the default: a class, a tuple, or a function."""
    function = Unsteady(error, error)
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
def test_invalid_on(on: Any) -> None:
    """Retry refuses an ``on`` that is no exception class, tuple of them, or sync function."""
    with pytest.raises(WorkflowValidationError, match=r"^on must be an exception class"):
        Retry(on=on)


def test_last_error_is_raised(workflow: Workflow, execute: Any) -> None:
    """After the last attempt its error is raised without a pause."""
    function = Unsteady(OSError("1"), OSError("2"), OSError("3"))
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0)))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert function.calls == 2
    assert repr(caught.value.cause) == "OSError('2')"


def test_one_attempt_is_the_default(workflow: Workflow, execute: Any) -> None:
    """A node without a retry has one attempt."""
    function = Unsteady(OSError())
    workflow.add_node(FunctionNode("n", function))
    with pytest.raises(NodeExecutionError):
        execute(workflow)
    assert function.calls == 1


def test_number_of_attempts() -> None:
    """``retry=3`` is Retry(attempts=3); None is one attempt."""
    assert FunctionNode("n", print, retry=3).retry == Retry(attempts=3, backoff=0.5, jitter=0.5)
    assert FunctionNode("n", print).retry.attempts == 1


def test_backoff_doubles() -> None:
    """Pauses double from the backoff up to a minute; jitter shortens each of them."""
    steady = Retry(backoff=0.5, jitter=0)
    pauses = [steady.pause(attempt, OSError()) for attempt in (1, 2, 3, 8, 99)]
    assert pauses == [0.5, 1, 2, 60, 60]
    for _ in range(100):
        assert 0.25 <= Retry(backoff=0.5).pause(1, OSError()) <= 0.5


def test_retry_after_lengthens_the_pause() -> None:
    """A pause is as long as the provider's retry_after, if that is longer."""
    retry = Retry(backoff=1, jitter=0)
    assert retry.pause(1, ModelError("busy", retryable=True, retry_after=90)) == 90
    assert retry.pause(1, ModelError("busy", retryable=True, retry_after=0.1)) == 1


def test_pause_before_the_next_attempt(workflow: Workflow, execute: Any) -> None:
    """The next attempt starts after the pause."""
    function = Unsteady(ModelError("busy", retryable=True, retry_after=0.2))
    workflow.add_node(FunctionNode("n", function, retry=Retry(attempts=2, backoff=0)))
    start = time.monotonic()
    execute(workflow)
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("whose", ["node", "workflow"])
def test_no_pause_beyond_the_deadline(execute: Any, whose: str) -> None:
    """A node whose pause would end after its deadline raises the error at once."""
    workflow = Workflow("flow", timeout=5 if whose == "workflow" else None)
    function = Unsteady(ModelError("busy", retryable=True, retry_after=60))
    own = 5 if whose == "node" else None
    workflow.add_node(FunctionNode("n", function, retry=3, timeout=own))
    start = time.monotonic()
    with pytest.raises(NodeExecutionError, match="ModelError: busy"):
        execute(workflow)
    assert time.monotonic() - start < 4
    assert function.calls == 1


def test_retries_leave_a_seeded_sequence_alone(workflow: Workflow, execute: Any) -> None:
    """A retry takes nothing from the random numbers of an application that has seeded them."""
    workflow.add_node(
        FunctionNode("n", Unsteady(OSError()), retry=Retry(attempts=2, backoff=0.001))
    )
    before = random.getstate()
    assert execute(workflow)["n"] == "done"
    assert random.getstate() == before


def test_excessive_retry_after(workflow: Workflow) -> None:
    """A provider's retry_after of more than an hour is not waited for: its error is raised."""

    def model(_: Any) -> str:
        raise ModelError("busy", retryable=True, retry_after=float("inf"))

    workflow.add_node(LLMNode("n", model, "x", retry=2))
    with pytest.raises(NodeExecutionError, match="ModelError: busy"):
        workflow.execute()


class UnsteadyModel(Model):
    """A model that raises these errors, one a request, and then completes."""

    def __init__(self, *errors: Exception) -> None:
        self._function = Unsteady(*errors)

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=self._function(request))


class UnprintableError(ModelError):
    """An error whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError


QUICK = Retry(attempts=4, backoff=0)


def test_retries_are_logged(
    workflow: Workflow, execute: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A retry is logged: node, attempt, wait and error; only a Model's message is part of it."""
    caplog.set_level(logging.INFO, "fibonacci.workflow")
    model = UnsteadyModel(ModelError("busy", retryable=True), OSError("a canary"))
    workflow.add_node(LLMNode("n", model, "x", retry=QUICK))
    assert execute(workflow)["n"] == "done"
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("fibonacci.workflow", "INFO")
    ] * 2
    assert caplog.messages == [
        "node 'n' failed, attempt 2 of 4 follows in 0.000 s: ModelError: busy",
        "node 'n' failed, attempt 3 of 4 follows in 0.000 s: OSError",
    ]


@pytest.mark.parametrize("make", [lambda f: FunctionNode("n", f, retry=QUICK),
                                  lambda f: LLMNode("n", f, "x", retry=QUICK)])  # fmt: skip
def test_message_of_a_function_is_not_logged(
    workflow: Workflow, execute: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The message of a ModelError of a function, also of one as a model, may quote a value."""
    caplog.set_level(logging.INFO, "fibonacci.workflow")
    workflow.add_node(make(Unsteady(ModelError("a canary", retryable=True))))
    assert execute(workflow)["n"] == "done"
    assert caplog.messages == ["node 'n' failed, attempt 2 of 4 follows in 0.000 s: ModelError"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (UnprintableError("busy", retryable=True), "UnprintableError"),
        (ModelError("x" * 5_000, retryable=True), f"ModelError: {'x' * 1_000}"),
    ],
    ids=["unprintable", "long"],
)
def test_logging_a_retry_does_not_prevent_it(
    workflow: Workflow,
    execute: Any,
    error: Exception,
    shown: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A model's error is logged without the text that it fails to return, or the end of a long one.

    It is retried all the same.
    """
    caplog.set_level(logging.INFO, "fibonacci.workflow")
    workflow.add_node(LLMNode("n", UnsteadyModel(error), "x", retry=QUICK))
    assert execute(workflow)["n"] == "done"
    assert caplog.messages == [f"node 'n' failed, attempt 2 of 4 follows in 0.000 s: {shown}"]
