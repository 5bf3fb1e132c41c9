"""Which records a node writes: their keys are checked as soon as they are known."""

from collections.abc import Mapping
from typing import Any

from fibonacci._memory.reads import MemoryKey, default_scope
from fibonacci._workflow.run import Run
from fibonacci._workflow.step import LLMStep, Step


def early_records(
    step: Step, run: Run, recalled: Mapping[str, Any]
) -> list[MemoryKey | None] | None:
    """Return what is known before the node's model is paid: None for a key that needs the answer.

    Of a function's node nothing is: it may change what its keys are made of. Raises TemplateError,
    InvalidKeyError or ScopeError.
    """
    if not isinstance(step, LLMStep):
        return None
    namespace, late = run.namespace(recalled), step.late_keys
    return [
        None if place in late else _record(step, run, place, namespace)
        for place in range(len(step.keys))
    ]


def all_records(
    step: Step,
    run: Run,
    recalled: Mapping[str, Any],
    early: list[MemoryKey | None] | None,
    output: Any,
) -> list[MemoryKey]:
    """Return all of them, in order, once the output is there. Raises the same."""
    known = early or [None] * len(step.keys)
    found = [record for record in known if record is not None]
    if len(found) == len(known):
        return found
    namespace = {**run.namespace(recalled), step.node.id: output}
    return [record or _record(step, run, place, namespace) for place, record in enumerate(known)]


def _record(step: Step, run: Run, place: int, namespace: Mapping[str, Any]) -> MemoryKey:
    key = step.keys[place].render(namespace)
    scope = step.node.memory_write[place].scope or default_scope(run.spaces)
    run.memory()._check_key(scope, key)
    return MemoryKey(scope, key)
