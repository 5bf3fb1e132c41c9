"""NodeContext: the argument of a FunctionNode's function."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import attrs

from fibonacci._memory.manager import RunMemory
from fibonacci._workflow.result import ExecutionResult
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean

if TYPE_CHECKING:
    from fibonacci._workflow.run import OuterNode
    from fibonacci._workflow.workflow import Workflow


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
    _outer: "OuterNode" = attrs.field(repr=False, alias="outer")

    @property
    def memory(self) -> RunMemory:
        """The workflow's memory, bound to this run: its user scope is that of the run's user.

        A call without a scope uses that of the run's user if there is one, else the workflow's.
        """
        return self._make_memory()

    def execute(
        self, workflow: "Workflow", inputs: Mapping[str, Any] | None = None
    ) -> ExecutionResult:
        """Execute another workflow as a part of this node, for the same user and organization.

        Its tokens count in this node's trace, and in ``stream`` the outer stream has its events
        (NestedEvent). It stops when the node's time is over, or the reader of the stream leaves.
        After the function has returned, it is a run like any other.

        Args:
            workflow: the workflow.
            inputs: its inputs.

        Raises what ``Workflow.execute`` raises; WorkflowError if nobody waits for it any more.
        """
        return workflow._execute_nested(self._outer, inputs, self.user_id, self.organization_id)

    async def aexecute(
        self, workflow: "Workflow", inputs: Mapping[str, Any] | None = None
    ) -> ExecutionResult:
        """Execute another workflow as a part of this node; the async form, for async functions.

        In ``astream`` the outer stream has its events.

        Args:
            workflow: the workflow.
            inputs: its inputs.
        """
        return await workflow._aexecute_nested(
            self._outer, inputs, self.user_id, self.organization_id
        )
