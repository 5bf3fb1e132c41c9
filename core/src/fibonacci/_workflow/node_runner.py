"""Running one node: read memory, try until an attempt succeeds, write memory, add the turn."""

from functools import partial
from time import monotonic
from typing import Any

from fibonacci._memory.reads import EMPTY_RESULT, MemoryKey, ReadResult
from fibonacci._workflow.compaction import compact_if_needed
from fibonacci._workflow.compiled_node import AttemptResult, CompiledNode
from fibonacci._workflow.conversation import Conversation, open_conversation
from fibonacci._workflow.early_checks import all_write_keys, early_write_keys
from fibonacci._workflow.events import (
    MemoryWritten,
    NodeFinished,
    NodeRetried,
    NodeStarted,
)
from fibonacci._workflow.failures import type_and_text
from fibonacci._workflow.function_models import FunctionModel
from fibonacci._workflow.graph import NodeReads
from fibonacci._workflow.memory_spec import RecordWrite
from fibonacci._workflow.result import NO_USAGE, NodeOutcome
from fibonacci._workflow.retry import MAX_RETRY_AFTER
from fibonacci._workflow.run import WorkflowRun
from fibonacci._workflow.runtime import RunCancelled
from fibonacci._workflow.timeouts import (
    NodeDeadlineExceeded,
    earlier_deadline,
    has_passed,
    node_timeout_error,
)
from fibonacci.errors import ModelError, StorageError, WorkflowTimeoutError
from fibonacci.plugin._runtime.logs import get_logger
from fibonacci.plugin.models import Usage


class NodeRunner:
    """Runs one node of one run, and records in the run how it ended."""

    def __init__(self, node: CompiledNode, run: WorkflowRun, reads: NodeReads) -> None:
        self._node = node
        self._run = run
        self._reads = reads
        self._start = 0.0
        self._deadline: float | None = None
        self._conversation: Conversation | None = None
        self._memory = EMPTY_RESULT
        self._attempts = 0
        self._usage = NO_USAGE
        """Of the attempts so far."""
        self._result = AttemptResult(None)
        """Of the attempt that succeeded; nothing before."""

    async def run(self) -> None:
        """Run the node. Raises what makes it fail."""
        self._raise_if_ended()
        if self._run.channel is not None:
            await self._run.channel.emit(NodeStarted(self._node.id))
            self._raise_if_ended()  # the reader took its time
        self._start = monotonic()
        self._deadline = earlier_deadline(self._node.definition.timeout, self._run.deadline)
        try:
            await self._run_started()
        except Exception:
            self._run.failed[self._node.id] = self._outcome(())
            raise

    def _raise_if_ended(self) -> None:
        """Raise RunCancelled if another node has failed, or nobody waits for the run any more."""
        self._run.raise_if_cancelled()
        if self._run.has_failed:
            raise RunCancelled

    async def _run_started(self) -> None:
        node, run = self._node, self._run
        if node.history is not None:
            self._conversation = open_conversation(node.history, run)
        if self._reads.reads or self._conversation is not None:
            self._memory = await self._read_memory()
        values = self._memory.values
        request = node.build_request(run, values, self._deadline)
        if self._conversation is not None:
            request = self._conversation.complete_request(request, run.namespace(values))
        early = early_write_keys(node, run, values) if node.write_keys else None
        result = self._result = await self._attempt(request)
        if run.channel is not None:
            event = NodeFinished(node.id, result.output, result.model, result.stop_reason)
            await run.channel.emit(event)
        written: tuple[MemoryKey, ...] = ()
        if node.write_keys or self._adds_turn():
            written = await self._write_memory(result, early)
        run.record_outcome(node.id, self._outcome(written))
        if self._conversation is not None and node.id in run.summary_models:
            await compact_if_needed(run, node.id, self._conversation, result.answer)

    async def _read_memory(self) -> ReadResult:
        """Read all that the node reads in one request, and what else its conversation needs."""
        run, reads, conversation = self._run, self._reads, self._conversation
        wanted = reads.render(run.namespace({})) if reads.templates else reads.reads
        is_sync, due = run.runtime.is_sync, run.manager._deadline()
        if self._deadline is not None:
            due = min(due, self._deadline)
        try:
            if conversation is not None:
                wanted = [*wanted, conversation.head_spec]
            result = await run.manager._read_values(
                wanted, run.spaces, deadline=due, is_sync=is_sync
            )
            if conversation is not None:
                await conversation.read_window(result.values, due)
        except StorageError as error:
            if has_passed(self._deadline):
                raise self._timeout_error() from error
            raise
        return result

    async def _attempt(self, request: Any) -> AttemptResult:
        """Try until an attempt succeeds."""
        node, run, next_request = self._node, self._run, request
        while True:
            if has_passed(self._deadline):
                raise self._timeout_error()
            self._attempts += 1
            try:
                result = await node.attempt(run, next_request, self._deadline)
            except NodeDeadlineExceeded:
                raise self._timeout_error() from None
            except RunCancelled:
                raise
            except Exception as error:
                pause = self._pause_after(error)
                if pause is None:
                    raise
                run.raise_if_cancelled()
                self._log_retry(pause, error)
                next_request = node.request_after(error, request) or next_request
            else:
                self._add_usage(result.usage)
                return result
            if run.channel is not None:
                await run.channel.emit(NodeRetried(node.id, self._attempts + 1))
            await run.runtime.sleep(pause)
            self._raise_if_ended()

    def _pause_after(self, error: Exception) -> float | None:
        """Return the seconds until the next attempt; None if none follows this error."""
        if isinstance(error, ModelError) and isinstance(error.usage, Usage):
            self._add_usage(error.usage)
        # A model that heeds the deadline may raise at it before our own timer does.
        if has_passed(self._deadline):
            raise self._timeout_error() from error
        retry = self._node.definition.retry
        if self._attempts == retry.attempts or not retry.applies_to(error) or self._run.has_failed:
            return None
        pause = retry.pause(self._attempts, error)
        if pause > MAX_RETRY_AFTER:
            return None
        is_too_late = self._deadline is not None and monotonic() + pause >= self._deadline
        return None if is_too_late else pause

    def _add_usage(self, usage: Usage) -> None:
        self._usage = usage if self._usage is NO_USAGE else self._usage + usage

    def _log_retry(self, pause: float, error: Exception) -> None:
        """Log that the node gets another attempt, and why.

        Only the text of a Model's ModelError is logged: it holds no prompt. A function, of a node
        or as a model, may raise one whose text quotes a value.
        """
        from logging import INFO  # it takes 4 ms

        logger, model = get_logger("workflow"), self._run.models.get(self._node.id)
        if not logger.isEnabledFor(INFO):
            return
        is_model_text = isinstance(error, ModelError) and not isinstance(
            model, FunctionModel | None
        )
        logger.info(
            "node %r failed, attempt %d of %d follows in %.3f s: %s",
            self._node.id,
            self._attempts + 1,
            self._node.definition.retry.attempts,
            pause,
            type_and_text(error) if is_model_text else type(error).__name__,
        )

    def _timeout_error(self) -> WorkflowTimeoutError:
        timeout = None if self._run.is_overdue() else self._node.definition.timeout
        return node_timeout_error(self._node.id, timeout, self._run.timeout)

    def _adds_turn(self) -> bool:
        return self._conversation is not None and self._conversation.user_content is not None

    async def _write_memory(
        self, result: AttemptResult, early: list[MemoryKey | None] | None
    ) -> tuple[MemoryKey, ...]:
        """Write the output to each key of the node, add the turn, and emit the event.

        Returns what was written.
        """
        node, run = self._node, self._run
        run.unwritten[node.id] = result.output
        find_keys = partial(all_write_keys, node, run, self._memory.values, early, result.output)
        if run.channel is None:
            return await self._write_all(find_keys(), result)
        with run.channel.writing():
            run.raise_if_cancelled()  # from here on, the channel's close() waits
            written = await self._write_all(find_keys(), result)
        await run.channel.emit(MemoryWritten(node.id, written))
        return written

    async def _write_all(
        self, records: list[MemoryKey], result: AttemptResult
    ) -> tuple[MemoryKey, ...]:
        """All keys have been checked before the first is written.

        The turn comes last: a run that fails before it and is made again adds it once.
        """
        for write, record in zip(self._node.definition.memory_write, records, strict=True):
            self._raise_if_cancelled()
            await _write_one(self._run, write, record, result.output)
        if self._conversation is None or not self._adds_turn():
            return tuple(records)
        self._raise_if_cancelled()
        await self._conversation.add_turn(result.answer)
        return (*records, self._conversation.head_key)

    def _raise_if_cancelled(self) -> None:
        if self._run.channel is None:  # the close() of a channel waits for the last write
            self._run.raise_if_cancelled()

    def _outcome(self, written: tuple[MemoryKey, ...]) -> NodeOutcome:
        return NodeOutcome(
            self._result.output,
            self._run.with_nested_usage(self._node.id, self._usage),
            self._start,
            monotonic(),
            self._attempts,
            self._memory.read,
            written,
            self._result.model,
            self._result.stop_reason,
        )


async def _write_one(run: WorkflowRun, write: RecordWrite, record: MemoryKey, output: Any) -> None:
    memory, (scope, key) = run.async_memory(), record
    if write.mode == "set":
        await memory.aset(key, output, scope, ttl=write.ttl)
    elif write.mode == "append":
        await memory.aappend(key, output, max_items=write.max_items, scope=scope, ttl=write.ttl)
    else:
        await memory.aincrement(key, output, scope, ttl=write.ttl)
