"""Executing a workflow: it is prepared once, each run is checked, and its nodes are scheduled.

`execute` → `Scheduler.run` → `NodeRunner.run`, in `node_runner`.
"""

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Protocol

import attrs

from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.reads import Spaces
from fibonacci._workflow.compiled_node import CompiledNode
from fibonacci._workflow.events import NodeFailed
from fibonacci._workflow.failures import Failure, build_error
from fibonacci._workflow.graph import Graph, build_graph
from fibonacci._workflow.inputs import validate_inputs
from fibonacci._workflow.models import find_model, unsupported_options
from fibonacci._workflow.nested import nested_channel
from fibonacci._workflow.node_runner import NodeRunner
from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.overrides import Overrides, current_overrides
from fibonacci._workflow.result import ExecutionResult
from fibonacci._workflow.run import OuterNode, RunChannel, WorkflowRun
from fibonacci._workflow.runtime import RunCancelled, Runtime, Worker
from fibonacci.errors import ScopeError, WorkflowError, WorkflowValidationError
from fibonacci.plugin._runtime.platforms import refuse_late_patches
from fibonacci.plugin._runtime.signals import raise_for_signal
from fibonacci.plugin._runtime.threads import NoThreadError
from fibonacci.plugin.models import Model


class WorkflowSettings(Protocol):
    """What a workflow gives each of its executions."""

    memory: MemoryManager
    timeout: float | None
    max_concurrency: int | None


@attrs.frozen
class ExecutionPlan:
    """What all executions of the same nodes share."""

    graph: Graph
    models: Mapping[str, Model]
    """The model of each LLMNode, by the node's id."""
    summary_models: Mapping[str, Model]
    """The model that summarizes its history, by the node's id."""
    overrides: Overrides
    """Those in force when the models were found."""

    def is_current(self, nodes: Mapping[str, CompiledNode]) -> bool:
        """Return whether ``prepare`` would still return it for these nodes."""
        return self.graph.nodes is nodes and self.overrides is current_overrides()


def prepare(nodes: Mapping[str, CompiledNode], models: dict[str, Model]) -> ExecutionPlan:
    """Check that the nodes fit together, and find their models.

    ``models`` caches those that are found by name: a provider is called once for each name.
    """
    graph, overrides = build_graph(nodes), current_overrides()
    llm_nodes = [node.definition for node in nodes.values() if isinstance(node.definition, LLMNode)]
    found = {node.id: _find_model(node.model, models, overrides) for node in llm_nodes}
    summary_models = {
        node.id: _find_model(node.history.compact.model, models, overrides)
        for node in llm_nodes
        if node.history is not None and node.history.compact is not None
    }
    problems = [text for node in llm_nodes for text in unsupported_options(node, found[node.id])]
    if problems:
        raise WorkflowValidationError("\n".join(problems))
    return ExecutionPlan(graph, found, summary_models, overrides)


def _find_model(model: Any, models: dict[str, Model], overrides: Overrides) -> Model:
    if not isinstance(model, str):
        return find_model(model)
    for override in overrides:
        if override.matches(model):
            return override.model
    if model not in models:
        models.setdefault(model, find_model(model))
    return models[model]


async def execute(
    workflow: WorkflowSettings,
    plan: ExecutionPlan,
    runtime: Runtime,
    inputs: Mapping[str, Any] | None,
    user_id: str | None,
    organization_id: str | None,
    channel: RunChannel | None = None,
    outer: OuterNode | None = None,
) -> ExecutionResult:
    """Run all nodes on this runtime, and emit events to the channel, or that of the outer node."""
    refuse_late_patches()
    graph = plan.graph
    inputs = validate_inputs(graph, inputs)
    spaces = workflow.memory._run_spaces(user_id, organization_id)
    _check_user(graph, spaces)
    _check_runtime(graph, runtime)
    if outer is not None and (outer.is_over or outer.run.runtime.process != os.getpid()):
        outer = None
    nested = None if outer is None else nested_channel(outer, runtime)
    run = WorkflowRun(
        runtime=runtime,
        manager=workflow.memory,
        spaces=spaces,
        inputs=inputs,
        node_ids=graph.nodes,
        models=plan.models,
        summary_models=plan.summary_models,
        timeout=workflow.timeout,
        channel=channel or nested,
        outer=outer,
    )
    if nested is not None:
        nested.run_id = run.id
    if outer is not None:
        outer.run.nested.setdefault(outer.node_id, []).append(run)
    return await _run_nodes(graph, run, workflow.max_concurrency)


async def _run_nodes(graph: Graph, run: WorkflowRun, limit: int | None) -> ExecutionResult:
    failure = _early_failure(graph, run)
    if failure is not None:
        await _emit_failure(run, failure.node.id, failure.cause)
    else:
        scheduler = Scheduler(graph, run, limit)
        await scheduler.run()
        failure = scheduler.failure
    if failure is not None and isinstance(failure.cause, RunCancelled):
        raise WorkflowError("nobody waits for this run any more") from None
    if failure is not None:
        raise build_error(run, failure)
    outcomes = {node_id: run.outcomes[node_id] for node_id in graph.nodes}
    return ExecutionResult(run.id, outcomes, run.clock_offset, run.compactions)


async def _emit_failure(run: WorkflowRun, node_id: str, error: BaseException) -> None:
    """Emit an event for a node that failed; none if it failed because the reader has left."""
    if run.channel is not None and not isinstance(error, RunCancelled):
        with suppress(RunCancelled):
            await run.channel.emit(NodeFailed(node_id, error))


def _early_failure(graph: Graph, run: WorkflowRun) -> Failure | None:
    """Return a failure that no other node can prevent: nothing runs, and no model is paid."""
    for check in graph.early_checks:
        if graph.has_functions and not check.is_final(run.inputs):
            continue
        try:
            check.check(run.inputs)
        except Exception as error:  # noqa: BLE001 - an engine may raise anything
            raise_for_signal(error)
            return Failure(check.node, error, is_overdue=False)
    return None


def _check_user(graph: Graph, spaces: Spaces) -> None:
    if graph.user_scope_uses and "user" not in spaces:
        raise ScopeError(f"{graph.user_scope_uses[0]}, but this run has no user: pass user_id=...")


def _check_runtime(graph: Graph, runtime: Runtime) -> None:
    if runtime.is_sync and graph.async_node_id is not None:
        raise WorkflowValidationError(
            f"node {graph.async_node_id!r} has an async function: "
            "use await workflow.aexecute(...), or workflow.astream(...)"
        )


class Scheduler:
    """Starts each node of one run as soon as its dependencies have ended.

    A worker runs one node after the other. When a node has ended, its worker goes on with one of
    the nodes that are ready, and starts a worker for each of the others, up to the limit.
    """

    def __init__(self, graph: Graph, run: WorkflowRun, limit: int | None) -> None:
        self._graph = graph
        self._run = run
        self._limit = limit or len(graph.nodes)
        self._lock = Lock()
        self._indegree = dict(graph.indegree)
        self._ready = deque(graph.roots)
        self._worker_count = 0
        self.failure: Failure | None = None
        """The first one."""

    async def run(self) -> None:
        """Run all nodes. If one fails, those that have started end, and no other starts."""
        try:
            await self._work(self._next(None))
            self._run.runtime.raise_pending_cancellation()
            await self._run.runtime.join()
            if self._run.interruption is not None:
                raise self._run.interruption
        except BaseException:
            self._run.is_cancelled = True
            await self._run.runtime.cancel_all()
            raise

    async def _work(self, node: CompiledNode | None) -> None:
        while node is not None:
            try:
                await NodeRunner(node, self._run, self._graph.reads[node.id]).run()
            except Exception as error:  # noqa: BLE001 - the run raises it, whatever it is
                self._fail(node, error)
                await _emit_failure(self._run, node.id, error)
            except BaseException as error:
                self._fail(node, error)
                self._next(node)
                raise
            node = self._next(node)

    def _next(self, ended: CompiledNode | None) -> CompiledNode | None:
        """Return the next node for this worker, if any, and start workers for the others."""
        with self._lock:
            if ended is None:
                self._worker_count += 1
            elif self.failure is None:
                self._release_dependents(ended)
            if self.failure is not None:
                self._ready.clear()
            if not self._ready:
                self._worker_count -= 1
                return None
            node = self._ready.popleft()
            others = [
                self._ready.popleft()
                for _ in range(min(len(self._ready), self._limit - self._worker_count))
            ]
            self._worker_count += len(others)
        for other in others:
            self._start(other)
        return node

    def _start(self, node: CompiledNode) -> None:
        worker: Worker = self._work(node)
        try:
            self._run.runtime.start(worker)
        except NoThreadError:  # the system has no thread left: an existing worker takes the node
            worker.close()
            with self._lock:
                self._worker_count -= 1
                self._ready.append(node)

    def _release_dependents(self, ended: CompiledNode) -> None:
        for node in self._graph.dependents[ended.id]:
            self._indegree[node.id] -= 1
            if not self._indegree[node.id]:
                self._ready.append(node)

    def _fail(self, node: CompiledNode, error: BaseException) -> None:
        with self._lock:
            if self.failure is None:
                self.failure = Failure(node, error, self._run.is_overdue())
                self._run.has_failed = True
