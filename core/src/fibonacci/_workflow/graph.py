"""The graph of a workflow: which node waits for which, and what each of them reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import attrs

from fibonacci._memory.addresses import validate_name
from fibonacci._memory.reads import ReadSpec, history_hint
from fibonacci._workflow.compiled_node import (
    CompiledFunctionNode,
    CompiledNode,
    TemplateUse,
    literals,
)
from fibonacci._workflow.early_checks import EarlyCheck, early_checks
from fibonacci._workflow.memory_spec import RecordWrite
from fibonacci.errors import InvalidKeyError, WorkflowValidationError
from fibonacci.plugin._runtime.errors import did_you_mean
from fibonacci.plugin.address import SCOPES, Scope
from fibonacci.plugin.templating import Template


@attrs.frozen(kw_only=True)
class Graph:
    """Nodes that fit together."""

    nodes: Mapping[str, CompiledNode]
    roots: tuple[CompiledNode, ...]
    """The nodes without dependencies."""
    dependents: Mapping[str, tuple[CompiledNode, ...]]
    """The nodes that wait for each node."""
    indegree: Mapping[str, int]
    """How many dependencies each node has that has any."""
    reads: Mapping[str, "NodeReads"]
    """What each node reads."""
    inputs: Mapping[str, TemplateUse]
    """The inputs that every run needs, and a text that references each."""
    user_scope_uses: tuple[str, ...]
    """What needs a user id, in words."""
    async_node_id: str | None
    """A node that only an async runtime can run, if there is one."""
    early_checks: tuple[EarlyCheck, ...]
    """What the inputs decide before any node runs."""
    has_functions: bool
    """Whether a function may change the inputs before a later node uses them."""


def build_graph(nodes: Mapping[str, CompiledNode]) -> Graph:
    """Return the graph of these nodes.

    Raises WorkflowValidationError, with all unknown ids, or with the cycle.
    """
    if not nodes:
        raise WorkflowValidationError("the workflow has no nodes: add one with add_node(...)")
    problems = [problem for node in nodes.values() for problem in _unknown_ids(node, nodes)]
    problems += _history_conflicts(nodes.values())
    if problems:
        raise WorkflowValidationError("\n".join(problems))
    dependencies = {node_id: node.dependencies for node_id, node in nodes.items()}
    _check_acyclic(dependencies)
    dependents: dict[str, list[CompiledNode]] = {node_id: [] for node_id in nodes}
    for node_id, node in nodes.items():
        for dependency in dependencies[node_id]:
            dependents[dependency].append(node)
    unscoped = UnscopedKeys.of(nodes.values())
    return Graph(
        nodes=nodes,
        roots=tuple(nodes[node_id] for node_id in nodes if not dependencies[node_id]),
        dependents={node_id: tuple(waiting) for node_id, waiting in dependents.items()},
        indegree={
            node_id: len(dependencies[node_id]) for node_id in nodes if dependencies[node_id]
        },
        reads={node_id: NodeReads.of(node, unscoped) for node_id, node in nodes.items()},
        inputs={name: use for node in nodes.values() for name, use in node.templates.inputs},
        user_scope_uses=tuple(use for node in nodes.values() for use in _user_scope_uses(node)),
        async_node_id=next((node.id for node in nodes.values() if node.needs_async), None),
        early_checks=early_checks(nodes.values()),
        has_functions=any(isinstance(node, CompiledFunctionNode) for node in nodes.values()),
    )


def _unknown_ids(node: CompiledNode, nodes: Mapping[str, CompiledNode]) -> Iterator[str]:
    for node_id in node.definition.dependencies:
        if node_id not in nodes:
            yield (
                f"node {node.id!r} depends on {node_id!r}, but there is no such node."
                f"{did_you_mean(node_id, nodes)}"
            )
    for node_id, (reference, text) in node.templates.nodes.items():
        if node_id not in nodes:
            hint = did_you_mean(node_id, (*nodes, "input", "memory"))
            alternatives = (
                f" An input is input.{node_id}, a memory value is memory.{node_id}; "
                f"a prompt that is not a template is fibonacci.literal(...)"
            )
            yield (
                f"{text}: line {reference.line}, column {reference.column} references {node_id!r}, "
                f"but there is no such node.{hint or alternatives}"
            )


def _check_acyclic(dependencies: Mapping[str, frozenset[str]]) -> None:
    try:
        TopologicalSorter(dependencies).prepare()
    except CycleError as error:
        # It lists each node before the one that depends on it, in the direction of the data.
        raise WorkflowValidationError(
            f"dependency cycle: {' -> '.join(error.args[1])}. "
            f"Remove one of these dependencies or references"
        ) from None


def _user_scope_uses(node: CompiledNode) -> Iterator[str]:
    uses: tuple[tuple[str, tuple[ReadSpec | RecordWrite, ...]], ...] = (
        ("reads", tuple(node.definition.memory_read)),
        ("writes", tuple(node.definition.memory_write)),
    )
    for verb, records in uses:
        for record in records:
            if record.scope == "user":
                yield f"node {node.id!r} {verb} {record.key!r} in user scope"
    if node.history is not None and node.history.spec.scope == "user":
        yield f"node {node.id!r} has the history {node.history.spec.key!r} in user scope"


def _history_conflicts(nodes: Iterable[CompiledNode]) -> Iterator[str]:
    """Yield a message for each node that uses the record of another's history as a value."""
    nodes = tuple(nodes)
    histories = {
        (node.history.spec.scope, node.history.spec.key): node.id
        for node in nodes
        if node.history is not None and literals(node.history.key) is not None
    }
    for node in nodes if histories else ():
        for read in node.definition.memory_read:
            for scope in SCOPES if read.scope is None else (read.scope,):
                if (scope, read.key) in histories:
                    yield (
                        f"node {node.id!r} reads {read.key!r}, the history of node "
                        f"{histories[scope, read.key]!r}: use {history_hint(scope, read.key)}"
                    )
        for write in node.definition.memory_write:
            scopes: tuple[Scope, ...] = ("user", "workflow") if not write.scope else (write.scope,)
            for owner in [histories[s, write.key] for s in scopes if (s, write.key) in histories]:
                yield (
                    f"node {node.id!r} writes {write.key!r}, the history of node {owner!r}: give "
                    f"one of them another key"
                )


@attrs.frozen
class NodeReads:
    """What one node reads from memory."""

    reads: tuple[ReadSpec, ...]
    """In the order of its ``memory_read``; a key that is a template is still its source here."""
    templates: Mapping[int, Template]
    """The keys that have to be rendered, by their index."""
    _unscoped: "UnscopedKeys"

    @classmethod
    def of(cls, node: CompiledNode, unscoped: "UnscopedKeys") -> "NodeReads":
        """Return what a node reads in a graph that writes these keys without a scope."""
        reads = (
            read if index in node.read_keys else unscoped.restrict(read)
            for index, read in enumerate(node.definition.memory_read)
        )
        return cls(tuple(reads), node.read_keys, unscoped)

    def render(self, namespace: Mapping[str, Any]) -> Sequence[ReadSpec]:
        """Return the reads of one run. Raises TemplateError or InvalidKeyError."""
        reads = list(self.reads)
        for index, template in self.templates.items():
            read = reads[index]
            what = f"memory_read: the key of {read.name!r}"
            key = validate_name(template.render(namespace), what, InvalidKeyError)
            reads[index] = self._unscoped.restrict(attrs.evolve(read, key=key))
        return reads


@attrs.frozen
class UnscopedKeys:
    """The keys that the nodes of a graph write without a scope.

    A read of one looks only where a write without a scope goes.

    Without a scope, a run with a user writes to that user, and one without to the workflow. A read
    that fell back from the user to the workflow would put what somebody wrote in a run without a
    user into the prompt of the next user.
    """

    _literals: tuple[tuple[str, ...] | None, ...]
    """The literal parts of each such key; None if it can be any text."""

    @classmethod
    def of(cls, nodes: Iterable[CompiledNode]) -> "UnscopedKeys":
        """Collect the keys of these nodes."""
        return cls(
            tuple(
                literals(template)
                for node in nodes
                for write, template in zip(
                    node.definition.memory_write, node.write_keys, strict=True
                )
                if write.scope is None
            )
        )

    def restrict(self, read: ReadSpec) -> ReadSpec:
        """Return the read; limited to the default scope if its key may be one of these."""
        if read.scope is not None or not any(_matches(read.key, key) for key in self._literals):
            return read
        return attrs.evolve(read, only_default_scope=True)


def _matches(key: str, literals: tuple[str, ...] | None) -> bool:
    """Return whether a template with these literal parts may render to the key."""
    if literals is None:
        return True
    first, *between = literals
    if not between:
        return key == first
    last = between.pop()
    position, end = len(first), len(key) - len(last)
    if position > end or not (key.startswith(first) and key.endswith(last)):
        return False
    for part in between:
        found = key.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
