"""What the inputs alone decide: a node that they make fail is told before any model is asked."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import attrs

from fibonacci._builtin.template_engine import BuiltinTemplate
from fibonacci._memory.addresses import checked_name
from fibonacci._workflow.step import Step
from fibonacci.errors import InvalidKeyError
from fibonacci.plugin.templating import Template

_FIXED: Final = (str, int, float, bool, bytes, type(None))
"""Types of values that no function can change in place."""


@attrs.frozen
class Foreseen:
    """A text that depends on inputs alone, or as much of one."""

    step: Step
    template: Template
    names: frozenset[str] | None
    """The inputs that it asks for; None: all."""
    texts: tuple[str, ...] = ()
    """Inputs of which a prompt takes each as a whole: if all are text, nothing can be wrong."""
    what: str = ""
    """Whose key it is; empty for a prompt."""

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Raise the TemplateError or InvalidKeyError that the node would come to."""
        # A loop that is written out: each run takes this way, for each of its nodes.
        for name in self.texts:
            if type(inputs.get(name)) is not str:
                break
        else:
            if self.texts:
                return
        text = self.template.render({"input": inputs, "memory": {}})
        if self.what:
            checked_name(text, self.what, InvalidKeyError)

    def is_fixed(self, inputs: Mapping[str, Any]) -> bool:
        """Say whether its inputs stay as they are, whatever functions do to what they are given."""
        values = inputs.values() if self.names is None else map(inputs.get, self.names)
        return all(type(value) in _FIXED for value in values)


def foreseen(steps: Collection[Step]) -> tuple[Foreseen, ...]:
    """Return all that is known of these nodes before one has run: keys, and prompts.

    The prompt of a node that has no other beside it is rendered first of all anyway.
    """
    alone = len(steps) == 1
    return tuple(
        one for step in steps for one in (*_keys(step), *(() if alone else _prompts(step)))
    )


def _keys(step: Step) -> Iterator[Foreseen]:
    wanted = step.node.memory_read
    read = (
        (key, f"memory_read: the key of {wanted[at].name!r}") for at, key in step.read_keys.items()
    )
    for template, what in (*read, *((key, "memory_write: the key") for key in step.keys)):
        if template.references and _asks_for_inputs_alone(template):
            yield Foreseen(step, template, _names(template), what=what)


def _prompts(step: Step) -> Iterator[Foreseen]:
    for template in step.prompts:
        known = template.inputs_only() if isinstance(template, BuiltinTemplate) else template
        if known.references and _asks_for_inputs_alone(known):
            yield Foreseen(step, known, _names(known), _wholes(known))


def _asks_for_inputs_alone(template: Template) -> bool:
    return all(one.root == "input" for one in template.references)


def _wholes(template: Template) -> tuple[str, ...]:
    """The inputs that a template of ours takes as a whole; none if it takes a part of one."""
    if not isinstance(template, BuiltinTemplate):
        return ()
    paths = [one.path for one in template.references]
    return tuple({str(path[0]) for path in paths}) if all(len(path) == 1 for path in paths) else ()


def _names(template: Template) -> frozenset[str] | None:
    paths = [one.path for one in template.references]
    return frozenset(str(path[0]) for path in paths) if all(paths) else None
