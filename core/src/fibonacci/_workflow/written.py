"""Which records a node writes: their keys are checked as soon as they are known."""

from collections.abc import Iterable, Mapping
from typing import Any

from fibonacci._memory.recall import MemoryKey, nearest
from fibonacci._memory.runs import check_key
from fibonacci._workflow.run import Run
from fibonacci._workflow.step import LLMStep, Step
from fibonacci.plugin.templating import Template

Records = dict[int, MemoryKey]
"""By their place in the node's ``memory_write``."""


def early_records(step: Step, run: Run, recalled: Mapping[str, Any]) -> Records:
    """Return what is known before the node's model is paid: all whose key needs no answer.

    Of a function's node nothing: it may change what its keys are made of. Raises TemplateError,
    InvalidKeyError or ScopeError.
    """
    if not (step.keys and isinstance(step, LLMStep)):
        return {}
    known = (at for at, key in enumerate(step.keys) if not _asks_for(step.node.id, key))
    return _records(step, run, known, run.namespace(recalled))


def all_records(
    step: Step, run: Run, recalled: Mapping[str, Any], early: Records, output: Any
) -> list[MemoryKey]:
    """Return all of them, in order, once the output is there. Raises the same."""
    found = early
    if len(early) < len(step.keys):
        namespace = {**run.namespace(recalled), step.node.id: output}
        late = (place for place in range(len(step.keys)) if place not in early)
        found = early | _records(step, run, late, namespace)
    return [found[place] for place in range(len(step.keys))]


def _asks_for(node_id: str, template: Template) -> bool:
    return any(one.root == node_id for one in template.references)


def _records(step: Step, run: Run, places: Iterable[int], namespace: Mapping[str, Any]) -> Records:
    writes, keys, default = step.node.memory_write, step.keys, nearest(run.spaces)
    found = {
        place: MemoryKey(writes[place].scope or default, keys[place].render(namespace))
        for place in places
    }
    for scope, key in found.values():
        check_key(run.memory(), scope, key)
    return found
