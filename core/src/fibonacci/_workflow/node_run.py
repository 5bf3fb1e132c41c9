"""Running one node: recall, ask until it succeeds, write once."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from fibonacci._memory.recall import NOTHING, MemoryKey, Recalled, nearest
from fibonacci._memory.runs import check_key, spoken
from fibonacci._workflow.channel import Channel
from fibonacci._workflow.events import MemoryWritten, NodeFinished, NodeRetried, NodeStarted
from fibonacci._workflow.memory_use import MemoryWrite
from fibonacci._workflow.result import Record
from fibonacci._workflow.retry import may_succeed
from fibonacci._workflow.run import Run
from fibonacci._workflow.step import Answer, Step
from fibonacci._workflow.voice import Overdue
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
    recalled = await _recall(step, run, deadline) if node.memory_read else NOTHING
    question = step.question(run, recalled.values, deadline)
    if step.keys:
        _check_keys(step, run, recalled.values)
    answer, attempts = await _ask(step, run, question, deadline)
    written: tuple[MemoryKey, ...] = ()
    if channel is not None:
        written = await _tell_and_write(step, run, channel, recalled.values, answer.output)
    elif step.keys:
        written = await _write(step, run, recalled.values, answer.output)
    run.end(
        node.id,
        Record(answer.output, answer.usage, start, monotonic(), attempts, recalled.read, written),
    )


async def _recall(step: Step, run: Run, deadline: float | None) -> Recalled:
    reads = run.reads[step.node.id]
    wanted = reads.rendered(run.namespace({})) if reads.templates else reads.wanted
    try:
        return await run.recall(wanted, deadline)
    except StorageError as fault:
        if deadline is not None and monotonic() >= deadline:
            raise _late(step, run) from fault
        raise


def _check_keys(step: Step, run: Run, recalled: Mapping[str, Any]) -> None:
    """Refuse keys that can't be, as far as they are known, before a model is asked and paid."""
    namespace, default = run.namespace(recalled), nearest(run.spaces)
    for write, template in zip(step.node.memory_write, step.keys, strict=True):
        if all(one.root != step.node.id for one in template.references):
            check_key(run.memory(), write.scope or default, template.render(namespace))


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
            if attempt == retry.attempts or not may_succeed(fault):
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


async def _tell_and_write(
    step: Step, run: Run, channel: Channel, recalled: Mapping[str, Any], output: Any
) -> tuple[MemoryKey, ...]:
    await channel.tell(NodeFinished(step.node.id, output))
    if not step.keys:
        return ()
    with channel.writing():
        run.check()  # from here on, whoever closes waits
        written = await _write(step, run, recalled, output)
    await channel.tell(MemoryWritten(step.node.id, written))
    return written


async def _write(
    step: Step, run: Run, recalled: Mapping[str, Any], output: Any
) -> tuple[MemoryKey, ...]:
    """Write the output where the node says; return what was written."""
    namespace = {**run.namespace(recalled), step.node.id: output}
    default = nearest(run.spaces)
    records = tuple(
        MemoryKey(write.scope or default, template.render(namespace))
        for write, template in zip(step.node.memory_write, step.keys, strict=True)
    )
    for scope, key in records:
        check_key(run.memory(), scope, key)  # all of them before the first is written
    for write, record in zip(step.node.memory_write, records, strict=True):
        if run.channel is None:  # whoever closes a channel waits for the last of them
            run.check()
        await _write_one(run, write, record, output)
    return records


async def _write_one(run: Run, write: MemoryWrite, record: MemoryKey, output: Any) -> None:
    memory, (scope, key) = spoken(run.memory(), plainly=run.voice.plainly), record
    if write.mode == "set":
        await memory.aset(key, output, scope, ttl=write.ttl)
    elif write.mode == "append":
        most = write.max_items
        await memory.aappend(key, output, max_items=most, scope=scope, ttl=write.ttl)
    else:
        await memory.aincrement(key, output, scope, ttl=write.ttl)
