"""One execution: what it needs is looked at first, then its nodes run, then it is told."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from fibonacci._memory.recall import Spaces
from fibonacci._memory.runs import reach
from fibonacci._workflow.graph import Graph, make_graph
from fibonacci._workflow.models import find_model, refusals
from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import Run
from fibonacci._workflow.schedule import Schedule
from fibonacci._workflow.step import Step
from fibonacci._workflow.voice import Voice
from fibonacci.errors import (
    FibonacciError,
    InvalidArgumentError,
    NodeExecutionError,
    ScopeError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from fibonacci.plugin._hints import did_you_mean
from fibonacci.plugin.models import Model

if TYPE_CHECKING:
    from fibonacci._workflow.workflow import Workflow


@attrs.frozen
class Prepared:
    """What all executions of the same nodes share."""

    graph: Graph
    models: Mapping[str, Model]
    """Of each LLMNode, by its id."""


def prepare(steps: Mapping[str, Step]) -> Prepared:
    """Check that the nodes fit together, and find their models."""
    graph = make_graph(steps)
    asking = [step.node for step in steps.values() if isinstance(step.node, LLMNode)]
    named = {
        name: find_model(name)
        for name in {one.model for one in asking if isinstance(one.model, str)}
    }
    models = {
        node.id: named[node.model] if isinstance(node.model, str) else find_model(node.model)
        for node in asking
    }
    faults = [fault for node in asking for fault in refusals(node, models[node.id])]
    if faults:
        raise WorkflowValidationError("; ".join(faults))
    return Prepared(graph, models)


async def execute(
    workflow: "Workflow",
    prepared: Prepared,
    voice: Voice,
    inputs: Mapping[str, Any] | None,
    user_id: str | None,
    organization_id: str | None,
) -> ExecutionResult:
    """Run all nodes in this voice."""
    graph = prepared.graph
    given = _checked_inputs(graph, inputs)
    spaces = reach(workflow.memory, user_id, organization_id)
    _check_user(graph, spaces)
    _check_voice(graph, voice)
    run = Run(
        voice=voice,
        store=workflow.memory,
        spaces=spaces,
        inputs=given,
        models=prepared.models,
        timeout=workflow.timeout,
    )
    schedule = Schedule(graph, run, workflow.max_concurrency)
    await schedule.go()
    if schedule.fault is not None:
        raise _told(run, *schedule.fault)
    records = {node_id: run.records[node_id] for node_id in graph.steps}
    return ExecutionResult(records, run.began_at - run.began)


def _checked_inputs(graph: Graph, inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    if inputs is not None and not isinstance(inputs, Mapping):
        raise InvalidArgumentError(
            f"inputs must be a dict of values by name, not {type(inputs).__name__}"
        )
    given = dict(inputs or {})
    if not all(isinstance(name, str) for name in given):
        raise InvalidArgumentError("inputs must have text as names")
    for name, (reference, text) in graph.inputs.items():
        if name not in given:
            raise InvalidArgumentError(
                f"the input {name!r} is missing: {text} asks for it in line {reference.line}."
                f"{did_you_mean(name, given)} Pass inputs={{{name!r}: ...}}"
            )
    return given


def _check_user(graph: Graph, spaces: Spaces) -> None:
    if graph.users and "user" not in spaces:
        raise ScopeError(f"{graph.users[0]}, and this run has no user: pass user_id=...")


def _check_voice(graph: Graph, voice: Voice) -> None:
    if voice.plainly and graph.asynchronous is not None:
        raise WorkflowValidationError(
            f"node {graph.asynchronous!r} has an async function: use await workflow.aexecute(...)"
        )


def _told(run: Run, step: Step, fault: BaseException) -> BaseException:
    """The error for a run that failed, its cause chained."""
    node_id = step.node.id
    if not isinstance(fault, Exception):
        return fault
    told: Exception
    if run.is_overdue():
        told = WorkflowTimeoutError(
            f"the workflow took longer than its timeout of {run.timeout} s; "
            f"node {node_id!r} had not ended"
        )
    else:
        # A text that is not ours may quote what it likes: the chained cause still shows it.
        text = f": {fault}" if isinstance(fault, FibonacciError) else ""
        told = NodeExecutionError(
            f"node {node_id!r} failed: {type(fault).__name__}{text}",
            node_id=node_id,
            cause=fault,
            results=dict(run.outputs),
        )
    told.__cause__ = fault
    return told
