"""The graph of a workflow: who waits for whom, from dependencies and from templates."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

import attrs

from fibonacci._memory.recall import Wanted
from fibonacci._workflow.foresight import Foreseen, foreseen
from fibonacci._workflow.memory_use import RecordWrite
from fibonacci._workflow.reads import Reads
from fibonacci._workflow.step import FunctionStep, Step
from fibonacci._workflow.texts import Demand
from fibonacci._workflow.unscoped import UnscopedKeys
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean


@attrs.frozen(kw_only=True)
class Graph:
    """Steps that fit together."""

    steps: Mapping[str, Step]
    first: tuple[Step, ...]
    """Those that wait for none."""
    after: Mapping[str, tuple[Step, ...]]
    """Of each step, those that wait for it."""
    needs: Mapping[str, int]
    """Of each step that waits, for how many."""
    reads: Mapping[str, Reads]
    """What each step reads."""
    inputs: Mapping[str, Demand]
    """The inputs that the run surely needs, and a text that asks for each."""
    users: tuple[str, ...]
    """What needs a user id, in words."""
    asynchronous: str | None
    """The id of a node that can run in the async voice alone, if there is one."""
    foreseen: tuple[Foreseen, ...]
    """What the inputs alone decide."""
    has_functions: bool
    """Whether a function may change what is in the inputs, before a later node looks."""


def make_graph(steps: Mapping[str, Step]) -> Graph:
    """Return the graph of these steps.

    Raises WorkflowValidationError, with all unknown ids, or with the cycle.
    """
    if not steps:
        raise WorkflowValidationError("the workflow has no nodes: add one with add_node(...)")
    faults = [fault for step in steps.values() for fault in _unknown(step, steps)]
    if faults:
        raise WorkflowValidationError("\n".join(faults))
    needs = {node_id: step.needs for node_id, step in steps.items()}
    _refuse_cycles(needs)
    after: dict[str, list[Step]] = {node_id: [] for node_id in steps}
    for node_id, step in steps.items():
        for need in needs[node_id]:
            after[need].append(step)
    return Graph(
        steps=steps,
        first=tuple(steps[node_id] for node_id in steps if not needs[node_id]),
        after={node_id: tuple(waiting) for node_id, waiting in after.items()},
        needs={node_id: len(needs[node_id]) for node_id in steps if needs[node_id]},
        reads=_reads(steps),
        inputs={name: demand for step in steps.values() for name, demand in step.texts.inputs},
        users=tuple(use for step in steps.values() for use in _for_a_user(step)),
        asynchronous=next((one.node.id for one in steps.values() if one.asynchronous), None),
        foreseen=foreseen(steps.values()),
        has_functions=any(isinstance(one, FunctionStep) for one in steps.values()),
    )


def _reads(steps: Mapping[str, Step]) -> dict[str, Reads]:
    unscoped = UnscopedKeys.of(
        written
        for step in steps.values()
        for written in zip(step.node.memory_write, step.keys, strict=True)
    )
    return {
        node_id: Reads.of(step.node.memory_read, step.read_keys, unscoped)
        for node_id, step in steps.items()
    }


def _unknown(step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    for node_id in step.node.dependencies:
        if node_id not in steps:
            yield (
                f"node {step.node.id!r} depends on {node_id!r}, and there is no such node."
                f"{did_you_mean(node_id, steps)}"
            )
    for node_id, (reference, text) in step.texts.nodes.items():
        if node_id not in steps:
            hint = did_you_mean(node_id, (*steps, "input", "memory"))
            ways = (
                f" An input is input.{node_id}, a memory memory.{node_id}; "
                f"a prompt that is no template is fibonacci.literal(...)"
            )
            yield (
                f"{text}: line {reference.line}, column {reference.column} asks for {node_id!r}, "
                f"and there is no such node.{hint or ways}"
            )


def _refuse_cycles(needs: Mapping[str, frozenset[str]]) -> None:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as fault:
        # It lists each node before the one that needs it, which is the way that data would go.
        raise WorkflowValidationError(
            f"the nodes wait for each other: {' -> '.join(fault.args[1])}. "
            f"Take one of these dependencies or references out"
        ) from None


def _for_a_user(step: Step) -> Iterator[str]:
    uses: tuple[tuple[str, tuple[Wanted | RecordWrite, ...]], ...] = (
        ("reads", tuple(step.node.memory_read)),
        ("writes", tuple(step.node.memory_write)),
    )
    for verb, records in uses:
        for one in records:
            if one.scope == "user":
                yield f"node {step.node.id!r} {verb} {one.key!r} in user scope"
