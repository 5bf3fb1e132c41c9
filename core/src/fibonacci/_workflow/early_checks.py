"""What is checked before a model is paid: prompts and keys, as soon as all that they use is known.

Before any node runs, `EarlyCheck` renders what uses nothing but inputs. Before a node's model is
called, `early_write_keys` renders the keys that it writes and that do not use its output.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import attrs

from fibonacci._builtin.template_engine import BuiltinTemplate
from fibonacci._memory.addresses import validate_name
from fibonacci._memory.history.keys import check_key
from fibonacci._memory.reads import MemoryKey
from fibonacci._workflow.compiled_node import CompiledLLMNode, CompiledNode
from fibonacci._workflow.run import WorkflowRun
from fibonacci.errors import InvalidKeyError
from fibonacci.plugin.templating import Template

_IMMUTABLE: Final = (str, int, float, bool, bytes, type(None))
"""Types of values that no function can change in place."""


@attrs.frozen
class EarlyCheck:
    """A text that uses inputs only; of a built-in template, its parts that do."""

    node: CompiledNode
    template: Template
    names: frozenset[str] | None
    """The inputs that it uses; None: all."""
    whole_inputs: tuple[str, ...] = ()
    """Inputs that a prompt uses as a whole: if all are text, rendering can't fail."""
    what: str = ""
    """Which key it is; empty for a prompt."""
    is_history: bool = False

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise the TemplateError or InvalidKeyError that the node would raise."""
        # A loop instead of all(): this runs for each node of each run.
        for name in self.whole_inputs:
            if type(inputs.get(name)) is not str:
                break
        else:
            if self.whole_inputs:
                return
        text = self.template.render({"input": inputs, "memory": {}})
        if self.what:
            validate_name(text, self.what, InvalidKeyError)
        if self.is_history:
            check_key(text)

    def is_final(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether no function can change the inputs that it uses."""
        values = inputs.values() if self.names is None else map(inputs.get, self.names)
        return all(type(value) in _IMMUTABLE for value in values)


def early_checks(nodes: Collection[CompiledNode]) -> tuple[EarlyCheck, ...]:
    """Return the checks of these nodes' keys and prompts.

    The prompt of a single node is rendered first anyway.
    """
    is_single = len(nodes) == 1
    return tuple(
        check
        for node in nodes
        for check in (*_key_checks(node), *(() if is_single else _prompt_checks(node)))
    )


def _key_checks(node: CompiledNode) -> Iterator[EarlyCheck]:
    reads = node.definition.memory_read
    read_keys = (
        (key, f"memory_read: the key of {reads[index].name!r}")
        for index, key in node.read_keys.items()
    )
    write_keys = ((key, "memory_write: the key") for key in node.write_keys)
    for template, what in (*read_keys, *write_keys):
        if template.references and _uses_only_inputs(template):
            yield EarlyCheck(node, template, _input_names(template), what=what)
    if node.history is not None:
        key, what = node.history.key, "history: the key"
        if key.references and _uses_only_inputs(key):
            yield EarlyCheck(node, key, _input_names(key), what=what, is_history=True)


def _prompt_checks(node: CompiledNode) -> Iterator[EarlyCheck]:
    for prompt in node.prompts:
        known = prompt.inputs_only() if isinstance(prompt, BuiltinTemplate) else prompt
        if known.references and _uses_only_inputs(known):
            yield EarlyCheck(node, known, _input_names(known), _whole_inputs(known))


def _uses_only_inputs(template: Template) -> bool:
    return all(reference.root == "input" for reference in template.references)


def _whole_inputs(template: Template) -> tuple[str, ...]:
    """The inputs that a built-in template uses as a whole; none if it uses a part of one."""
    if not isinstance(template, BuiltinTemplate):
        return ()
    paths = [reference.path for reference in template.references]
    return tuple({str(path[0]) for path in paths}) if all(len(path) == 1 for path in paths) else ()


def _input_names(template: Template) -> frozenset[str] | None:
    paths = [reference.path for reference in template.references]
    return frozenset(str(path[0]) for path in paths) if all(paths) else None


def early_write_keys(
    node: CompiledNode, run: WorkflowRun, memory_values: Mapping[str, Any]
) -> list[MemoryKey | None] | None:
    """Return the records that an LLM node will write; None for a key that uses its output.

    None of a function's node is known: it may change what its keys use. Raises TemplateError,
    InvalidKeyError or ScopeError.
    """
    if not isinstance(node, CompiledLLMNode):
        return None
    namespace, late_keys = run.namespace(memory_values), node.late_keys
    return [
        None if index in late_keys else _write_key(node, run, index, namespace)
        for index in range(len(node.write_keys))
    ]


def all_write_keys(
    node: CompiledNode,
    run: WorkflowRun,
    memory_values: Mapping[str, Any],
    early: list[MemoryKey | None] | None,
    output: Any,
) -> list[MemoryKey]:
    """Return all records that a node writes, in order. Raises what `early_write_keys` raises."""
    known = early or [None] * len(node.write_keys)
    found = [record for record in known if record is not None]
    if len(found) == len(known):
        return found
    namespace = {**run.namespace(memory_values), node.id: output}
    return [record or _write_key(node, run, index, namespace) for index, record in enumerate(known)]


def _write_key(
    node: CompiledNode, run: WorkflowRun, index: int, namespace: Mapping[str, Any]
) -> MemoryKey:
    key = node.write_keys[index].render(namespace)
    record = run.resolve_key(node.definition.memory_write[index].scope, key)
    if record in run.heads:
        raise InvalidKeyError(
            f"memory_write: the key {key!r} in {record.scope} scope is that of a history, which "
            f"would be overwritten: use another key"
        )
    return record
