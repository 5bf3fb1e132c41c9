"""Running one node: recall, ask until it succeeds, write once."""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from fibonacci._memory.reads import EMPTY_RESULT, MemoryKey, ReadResult
from fibonacci._workflow.events import MemoryWritten, NodeFinished, NodeRetried, NodeStarted
from fibonacci._workflow.memory_use import RecordWrite
from fibonacci._workflow.result import Record
from fibonacci._workflow.run import Run
from fibonacci._workflow.step import Answer, Step
from fibonacci._workflow.voice import Overdue
from fibonacci._workflow.written import all_records, early_records
from fibonacci.errors import StorageError, WorkflowTimeoutError

PATIENCE: Final = 3_600.0
"""Seconds: no longer pause is made, whatever a provider asks for."""


async def run_node(step: Step, run: Run) -> None:
    """Run a node, and leave its output and its trace with the run."""
    node, channel = step.node, run.channel
    run.check()
    if channel is not None:
        await channel.tell(NodeStarted(node.id))
    start = monotonic()
    deadline = run.until(node.timeout)
    recalled = await _recall(step, run, deadline) if node.memory_read else EMPTY_RESULT
    question = step.question(run, recalled.values, deadline)
    early = early_records(step, run, recalled.values) if step.keys else None
    answer, attempts = await _ask(step, run, question, deadline)
    written: tuple[MemoryKey, ...] = ()
    if channel is not None:
        await channel.tell(NodeFinished(node.id, answer.output))
    if step.keys:
        records = partial(all_records, step, run, recalled.values, early, answer.output)
        written = await _write(step, run, records, answer.output)
    run.end(
        node.id,
        Record(answer.output, answer.usage, start, monotonic(), attempts, recalled.read, written),
    )


async def _recall(step: Step, run: Run, deadline: float | None) -> ReadResult:
    reads = run.reads[step.node.id]
    wanted = reads.rendered(run.namespace({})) if reads.templates else reads.wanted
    try:
        return await run.recall(wanted, deadline)
    except StorageError as fault:
        if deadline is not None and monotonic() >= deadline:
            raise _late(step, run) from fault
        raise


async def _ask(step: Step, run: Run, question: Any, deadline: float | None) -> tuple[Answer, int]:
    """Ask until an attempt succeeds; return its answer, and which attempt it was."""
    attempt, retry = 1, step.node.retry
    while True:
        if deadline is not None and monotonic() >= deadline:
            raise _late(step, run)
        try:
            answer = await step.ask(run, question, deadline)
        except Overdue:
            raise _late(step, run) from None
        except Exception as fault:
            # A model that heeds the deadline raises at it, as a clock of ours does: one error.
            if deadline is not None and monotonic() >= deadline:
                raise _late(step, run) from fault
            if attempt == retry.attempts or not retry.applies_to(fault):
                raise
            pause = retry.pause(attempt, fault)
            if pause > PATIENCE or (deadline is not None and monotonic() + pause >= deadline):
                raise
        else:
            return answer, attempt
        attempt += 1
        if run.channel is not None:
            await run.channel.tell(NodeRetried(step.node.id, attempt))
        await run.voice.pause(pause)
        run.check()


def _late(step: Step, run: Run) -> WorkflowTimeoutError:
    whose = f"its timeout of {step.node.timeout} s"
    if step.node.timeout is None or run.is_overdue():
        whose = f"the workflow's timeout of {run.timeout} s left it"
    return WorkflowTimeoutError(f"node {step.node.id!r} took longer than {whose}")


async def _write(
    step: Step, run: Run, find: Callable[[], list[MemoryKey]], output: Any
) -> tuple[MemoryKey, ...]:
    """Write the output where the node says; return what was written, and tell the channel."""
    if run.channel is None:
        return await _write_all(step, run, find(), output)
    with run.channel.writing():
        run.check()  # from here on, whoever closes waits
        written = await _write_all(step, run, find(), output)
    await run.channel.tell(MemoryWritten(step.node.id, written))
    return written


async def _write_all(
    step: Step, run: Run, records: list[MemoryKey], output: Any
) -> tuple[MemoryKey, ...]:
    """All keys have been checked before the first is written."""
    for write, record in zip(step.node.memory_write, records, strict=True):
        if run.channel is None:  # whoever closes a channel waits for the last of them
            run.check()
        await _write_one(run, write, record, output)
    return tuple(records)


async def _write_one(run: Run, write: RecordWrite, record: MemoryKey, output: Any) -> None:
    memory, (scope, key) = run.memory()._for_runtime(is_sync=run.voice.plainly), record
    if write.mode == "set":
        await memory.aset(key, output, scope, ttl=write.ttl)
    elif write.mode == "append":
        most = write.max_items
        await memory.aappend(key, output, max_items=most, scope=scope, ttl=write.ttl)
    else:
        await memory.aincrement(key, output, scope, ttl=write.ttl)
