"""Executing a workflow: it is prepared once, each run is checked, and its nodes are scheduled.

`execute` → `Scheduler.run` → `run_node`: read memory, try until an attempt succeeds, write memory.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import attrs

from fibonacci._memory.manager import MemoryManager
from fibonacci._memory.reads import EMPTY_RESULT, MemoryKey, ReadResult, Spaces
from fibonacci._workflow.compiled_node import AttemptResult, CompiledNode
from fibonacci._workflow.early_checks import all_write_keys, early_write_keys
from fibonacci._workflow.events import MemoryWritten, NodeFinished, NodeRetried, NodeStarted
from fibonacci._workflow.failures import Failure, build_error, type_and_text
from fibonacci._workflow.graph import Graph, NodeReads, build_graph
from fibonacci._workflow.inputs import validate_inputs
from fibonacci._workflow.memory_spec import RecordWrite
from fibonacci._workflow.models import FunctionModel, find_model, unsupported_options
from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.overrides import Overrides, current_overrides
from fibonacci._workflow.result import ExecutionResult, NodeOutcome
from fibonacci._workflow.retry import MAX_RETRY_AFTER
from fibonacci._workflow.run import WorkflowRun
from fibonacci._workflow.runtime import RunCancelled, Runtime, Worker
from fibonacci._workflow.streaming import Channel
from fibonacci._workflow.timeouts import (
    NodeDeadlineExceeded,
    earlier_deadline,
    has_passed,
    node_timeout_error,
)
from fibonacci.errors import (
    ModelError,
    ScopeError,
    StorageError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from fibonacci.plugin._runtime.logs import get_logger
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
    problems = [text for node in llm_nodes for text in unsupported_options(node, found[node.id])]
    if problems:
        raise WorkflowValidationError("\n".join(problems))
    return ExecutionPlan(graph, found, overrides)


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
    channel: Channel | None = None,
) -> ExecutionResult:
    """Run all nodes on this runtime, and emit events to the channel."""
    refuse_late_patches()
    graph = plan.graph
    inputs = validate_inputs(graph, inputs)
    spaces = workflow.memory._run_spaces(user_id, organization_id)
    _check_user(graph, spaces)
    _check_runtime(graph, runtime)
    run = WorkflowRun(
        runtime=runtime,
        manager=workflow.memory,
        spaces=spaces,
        inputs=inputs,
        node_ids=graph.nodes,
        models=plan.models,
        timeout=workflow.timeout,
        channel=channel,
    )
    failure = _early_failure(graph, run)
    if failure is None:
        scheduler = Scheduler(graph, run, workflow.max_concurrency)
        await scheduler.run()
        failure = scheduler.failure
    if failure is not None:
        raise build_error(run, failure)
    outcomes = {node_id: run.outcomes[node_id] for node_id in graph.nodes}
    return ExecutionResult(outcomes, run.clock_offset)


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
        except BaseException:
            self._run.is_cancelled = True
            await self._run.runtime.cancel_all()
            raise

    async def _work(self, node: CompiledNode | None) -> None:
        while node is not None:
            try:
                await run_node(node, self._run, self._graph.reads[node.id])
            except Exception as error:  # noqa: BLE001 - the run raises it, whatever it is
                self._fail(node, error)
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


async def run_node(node: CompiledNode, run: WorkflowRun, reads: NodeReads) -> None:
    """Run one node, and record its outcome in the run."""
    node_id, channel = node.id, run.channel
    run.raise_if_cancelled()
    if channel is not None:
        await channel.emit(NodeStarted(node_id))
    start = monotonic()
    deadline = earlier_deadline(node.definition.timeout, run.deadline)
    memory = await _read_memory(node, run, reads, deadline) if reads.reads else EMPTY_RESULT
    request = node.build_request(run, memory.values, deadline)
    early = early_write_keys(node, run, memory.values) if node.write_keys else None
    result, attempts = await _attempt(node, run, request, deadline)
    written: tuple[MemoryKey, ...] = ()
    if channel is not None:
        await channel.emit(NodeFinished(node_id, result.output))
    if node.write_keys:
        write_keys = partial(all_write_keys, node, run, memory.values, early, result.output)
        written = await _write_memory(node, run, write_keys, result.output)
    run.record_outcome(
        node_id,
        NodeOutcome(
            result.output, result.usage, start, monotonic(), attempts, memory.read, written
        ),
    )


async def _read_memory(
    node: CompiledNode, run: WorkflowRun, reads: NodeReads, deadline: float | None
) -> ReadResult:
    """Read all that the node reads in one request."""
    wanted = reads.render(run.namespace({})) if reads.templates else reads.reads
    is_sync = run.runtime.is_sync
    try:
        return await run.manager._read_values(
            wanted, run.spaces, deadline=deadline, is_sync=is_sync
        )
    except StorageError as error:
        if has_passed(deadline):
            raise _timeout_error(node, run) from error
        raise


async def _attempt(
    node: CompiledNode, run: WorkflowRun, request: Any, deadline: float | None
) -> tuple[AttemptResult, int]:
    """Try until an attempt succeeds; return its result and its number."""
    attempt, retry = 1, node.definition.retry
    while True:
        if has_passed(deadline):
            raise _timeout_error(node, run)
        try:
            return await node.attempt(run, request, deadline), attempt
        except NodeDeadlineExceeded:
            raise _timeout_error(node, run) from None
        except RunCancelled:
            raise
        except Exception as error:
            # A model that heeds the deadline may raise at it before our own timer does.
            if has_passed(deadline):
                raise _timeout_error(node, run) from error
            if attempt == retry.attempts or not retry.applies_to(error):
                raise
            pause = retry.pause(attempt, error)
            if pause > MAX_RETRY_AFTER or (
                deadline is not None and monotonic() + pause >= deadline
            ):
                raise
            run.raise_if_cancelled()
            _log_retry(node, run, attempt + 1, pause, error)
        attempt += 1
        if run.channel is not None:
            await run.channel.emit(NodeRetried(node.id, attempt))
        await run.runtime.sleep(pause)
        run.raise_if_cancelled()


def _log_retry(
    node: CompiledNode, run: WorkflowRun, attempt: int, pause: float, error: Exception
) -> None:
    """Log that a node gets another attempt, and why.

    Only the text of a Model's ModelError is logged: it holds no prompt. A function, of a node or
    as a model, may raise one whose text quotes a value.
    """
    from logging import INFO  # it takes 4 ms

    logger, model = get_logger("workflow"), run.models.get(node.id)
    if not logger.isEnabledFor(INFO):
        return
    is_model_text = isinstance(error, ModelError) and not isinstance(model, FunctionModel | None)
    logger.info(
        "node %r failed, attempt %d of %d follows in %.3f s: %s",
        node.id,
        attempt,
        node.definition.retry.attempts,
        pause,
        type_and_text(error) if is_model_text else type(error).__name__,
    )


def _timeout_error(node: CompiledNode, run: WorkflowRun) -> WorkflowTimeoutError:
    timeout = None if run.is_overdue() else node.definition.timeout
    return node_timeout_error(node.id, timeout, run.timeout)


async def _write_memory(
    node: CompiledNode, run: WorkflowRun, write_keys: Callable[[], list[MemoryKey]], output: Any
) -> tuple[MemoryKey, ...]:
    """Write the output to each key of the node, and emit the event; return what was written."""
    if run.channel is None:
        return await _write_all(node, run, write_keys(), output)
    with run.channel.writing():
        run.raise_if_cancelled()  # from here on, the channel's close() waits
        written = await _write_all(node, run, write_keys(), output)
    await run.channel.emit(MemoryWritten(node.id, written))
    return written


async def _write_all(
    node: CompiledNode, run: WorkflowRun, records: list[MemoryKey], output: Any
) -> tuple[MemoryKey, ...]:
    """All keys have been checked before the first is written."""
    for write, record in zip(node.definition.memory_write, records, strict=True):
        if run.channel is None:  # the close() of a channel waits for the last of them
            run.raise_if_cancelled()
        await _write_one(run, write, record, output)
    return tuple(records)


async def _write_one(run: WorkflowRun, write: RecordWrite, record: MemoryKey, output: Any) -> None:
    memory, (scope, key) = run.async_memory(), record
    if write.mode == "set":
        await memory.aset(key, output, scope, ttl=write.ttl)
    elif write.mode == "append":
        await memory.aappend(key, output, max_items=write.max_items, scope=scope, ttl=write.ttl)
    else:
        await memory.aincrement(key, output, scope, ttl=write.ttl)
