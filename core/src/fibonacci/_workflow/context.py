"""What a function of a FunctionNode is called with."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

import attrs

from fibonacci._memory.runs import RunMemory
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean


class UndeclaredError(WorkflowValidationError, KeyError):
    """A function asked for the output of a node that its own does not wait for."""

    __str__ = Exception.__str__  # a KeyError's puts quotes around


class Results(dict[str, Any]):
    """The outputs of a node's dependencies. It says what to do about one that is not there."""

    __slots__ = ("of",)

    of: tuple[str, Collection[str]]
    """The node that reads them, and all nodes of the workflow."""

    def __missing__(self, asked: object) -> NoReturn:
        """Raise UndeclaredError, which names the fix."""
        node_id, nodes = self.of
        others = [one for one in nodes if one != node_id]
        if asked in others:
            raise UndeclaredError(
                f"node {node_id!r} reads the result of {asked!r}: "
                f"add dependencies={[*self, asked]!r}"
            )
        raise UndeclaredError(
            f"node {node_id!r} reads the result of {asked!r}, and there is no such node "
            f"before it.{did_you_mean(asked, others)}"
        )


@attrs.frozen(kw_only=True)
class NodeContext:
    """One run, as a function sees it."""

    inputs: Mapping[str, Any] = attrs.field(repr=False)
    """The inputs of the execution."""
    results: Mapping[str, Any] = attrs.field(repr=False)
    """The outputs of its ``dependencies``, by id; a KeyError for another names the fix."""
    memory_values: Mapping[str, Any] = attrs.field(repr=False)
    """The values of ``memory_read``, by name; without those that are not there."""
    user_id: str | None
    """The user of the execution."""
    organization_id: str
    """The organization of the execution."""
    _make_memory: Callable[[], RunMemory] = attrs.field(repr=False, alias="make_memory")

    @property
    def memory(self) -> RunMemory:
        """The workflow's memory, bound to this run: its user scope is that of the run's user.

        A verb without a scope is about the run's user where it has one, else about the workflow.
        """
        return self._make_memory()
