"""NodeContext: the argument of a FunctionNode's function."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

import attrs

from fibonacci._memory.manager import RunMemory
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean


class UndeclaredError(WorkflowValidationError, KeyError):
    """A function read the output of a node that its own does not depend on."""

    __str__ = Exception.__str__  # a KeyError's puts quotes around


class Results(dict[str, Any]):
    """The outputs of a node's dependencies. The error for a missing one says how to fix it."""

    __slots__ = ("of",)

    of: tuple[str, Collection[str]]
    """The id of the node that reads them, and those of all nodes of the workflow."""

    def __missing__(self, key: object) -> NoReturn:
        """Raise UndeclaredError, which names the fix."""
        node_id, nodes = self.of
        others = [other for other in nodes if other != node_id]
        if key in others:
            raise UndeclaredError(
                f"node {node_id!r} reads the result of {key!r}: add dependencies={[*self, key]!r}"
            )
        raise UndeclaredError(
            f"node {node_id!r} reads the result of {key!r}, but there is no such node "
            f"before it.{did_you_mean(key, others)}"
        )


@attrs.frozen(kw_only=True)
class NodeContext:
    """What the function of a FunctionNode gets of its run.

    Attributes:
        inputs: the inputs of the execution.
        results: the outputs of the node's ``dependencies``, by id; a KeyError for another names
            the fix.
        memory_values: the values of ``memory_read``, by name; without those that are missing.
        user_id: the user of the execution; None if it has none.
        organization_id: the organization of the execution.
    """

    inputs: Mapping[str, Any] = attrs.field(repr=False)
    results: Mapping[str, Any] = attrs.field(repr=False)
    memory_values: Mapping[str, Any] = attrs.field(repr=False)
    user_id: str | None
    organization_id: str
    _make_memory: Callable[[], RunMemory] = attrs.field(repr=False, alias="make_memory")

    @property
    def memory(self) -> RunMemory:
        """The workflow's memory, bound to this run: its user scope is that of the run's user.

        A call without a scope uses that of the run's user if there is one, else the workflow's.
        """
        return self._make_memory()
