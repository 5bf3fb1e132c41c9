"""One execution: what it needs is looked at first, then its nodes run, then it is told."""

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.recall import Spaces
from fibonacci._memory.runs import reach
from fibonacci._workflow.channel import Channel
from fibonacci._workflow.failures import told
from fibonacci._workflow.graph import Graph, make_graph
from fibonacci._workflow.inputs import checked_inputs
from fibonacci._workflow.models import find_model, refusals
from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.overrides import Overrides, overrides
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import Run
from fibonacci._workflow.schedule import Failure, Schedule
from fibonacci._workflow.step import Step
from fibonacci._workflow.voice import Voice
from fibonacci.errors import ScopeError, WorkflowValidationError
from fibonacci.plugin._runtime.platforms import refuse_late_patches
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin.models import Model


class Setting(Protocol):
    """What a workflow gives to each of its executions."""

    memory: MemoryManager
    timeout: float | None
    max_concurrency: int | None


@attrs.frozen
class Prepared:
    """What all executions of the same nodes share."""

    graph: Graph
    models: Mapping[str, Model]
    """Of each LLMNode, by its id."""
    overrides: Overrides
    """What was in force when the models were found."""

    def serves(self, steps: Mapping[str, Step]) -> bool:
        """Say whether it is still what ``prepare`` would return for these."""
        return self.graph.steps is steps and self.overrides is overrides()


def prepare(steps: Mapping[str, Step], named: dict[str, Model]) -> Prepared:
    """Check that the nodes fit together, and find their models.

    ``named`` keeps those that are found by name: a provider is asked once for each.
    """
    graph, standing = make_graph(steps), overrides()
    asking = [step.node for step in steps.values() if isinstance(step.node, LLMNode)]
    models = {node.id: _model(node.model, named, standing) for node in asking}
    faults = [fault for node in asking for fault in refusals(node, models[node.id])]
    if faults:
        raise WorkflowValidationError("\n".join(faults))
    return Prepared(graph, models, standing)


def _model(model: Any, named: dict[str, Model], standing: Overrides) -> Model:
    if not isinstance(model, str):
        return find_model(model)
    for override in standing:
        if override.answers_to(model):
            return override.model
    if model not in named:
        named.setdefault(model, find_model(model))
    return named[model]


async def execute(
    workflow: Setting,
    prepared: Prepared,
    voice: Voice,
    inputs: Mapping[str, Any] | None,
    user_id: str | None,
    organization_id: str | None,
    channel: Channel | None = None,
) -> ExecutionResult:
    """Run all nodes in this voice, and tell the channel what happens."""
    refuse_late_patches()
    graph = prepared.graph
    given = checked_inputs(graph, inputs)
    spaces = reach(workflow.memory, user_id, organization_id)
    _check_user(graph, spaces)
    _check_voice(graph, voice)
    run = Run(
        voice=voice,
        store=workflow.memory,
        spaces=spaces,
        inputs=given,
        nodes=graph.steps,
        models=prepared.models,
        reads=graph.reads,
        timeout=workflow.timeout,
        channel=channel,
    )
    failure = _foreseen_failure(graph, run)
    if failure is None:
        schedule = Schedule(graph, run, workflow.max_concurrency)
        await schedule.go()
        failure = schedule.failure
    if failure is not None:
        raise told(run, failure)
    records = {node_id: run.records[node_id] for node_id in graph.steps}
    return ExecutionResult(records, run.began_at - run.began)


def _foreseen_failure(graph: Graph, run: Run) -> Failure | None:
    """What a node would come to whatever the others do: nothing runs, and no model is paid."""
    for one in graph.foreseen:
        if graph.has_functions and not one.is_fixed(run.inputs):
            continue
        try:
            one.check(run.inputs)
        except Exception as fault:  # noqa: BLE001 - whatever an engine raises
            raise_for_signal(fault)
            return Failure(one.step, fault, overdue=False)
    return None


def _check_user(graph: Graph, spaces: Spaces) -> None:
    if graph.users and "user" not in spaces:
        raise ScopeError(f"{graph.users[0]}, and this run has no user: pass user_id=...")


def _check_voice(graph: Graph, voice: Voice) -> None:
    if voice.plainly and graph.asynchronous is not None:
        raise WorkflowValidationError(
            f"node {graph.asynchronous!r} has an async function: use await workflow.aexecute(...), "
            "or workflow.astream(...)"
        )
