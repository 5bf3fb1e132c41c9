"""A run that fails: its error is pickled in a process that imports this module."""

from typing import Any

from fibonacci import FunctionNode, LLMNode, NodeExecutionError, Workflow
from fibonacci.plugin import Completion, Usage


def refuse(_: Any) -> Any:
    """Fail, as a node does."""
    raise ValueError("order 42 has no address")


def failing(function: Any) -> NodeExecutionError:
    """Return the error of a run in which one node succeeded, and one failed."""
    usage = Usage(input_tokens=3)
    workflow = Workflow("flow")
    workflow.add_node(LLMNode("first", lambda _: Completion(text="a", usage=usage), "x"))
    workflow.add_node(FunctionNode("open", lambda _: lambda: 1))
    workflow.add_node(FunctionNode("bad", function, dependencies=["first", "open"]))
    try:
        workflow.execute()
    except NodeExecutionError as error:
        return error
    raise AssertionError("the run did not fail")


def in_a_worker() -> None:
    """Raise that error."""
    raise failing(refuse)
