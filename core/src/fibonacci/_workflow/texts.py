"""The texts of one node, compiled; and what they ask for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from fibonacci._memory.addresses import checked_name
from fibonacci._workflow.fields import RESERVED
from fibonacci._workflow.nodes import Node
from fibonacci.errors import TemplateError, WorkflowValidationError
from fibonacci.plugin._runtime.errors import nearest_name
from fibonacci.plugin.templating import Engine, Reference, Template

_NOTHING: Final[Mapping[str, Mapping[str, str]]] = {"input": {}, "memory": {}}


def literals(template: Template) -> tuple[str, ...] | None:
    """Return what stands in every text that a template renders; None where that is not known."""
    if template.literals is None and not template.references:
        return (template.render(_NOTHING),)
    return template.literals


class Demand(NamedTuple):
    """One reference, and the text that it stands in."""

    reference: Reference
    text: str
    """Such as "the prompt of node 'chat'"."""


class Texts:
    """The texts of one node. Its outputs can be asked for in the keys that it writes."""

    def __init__(self, node: Node, engine: Engine) -> None:
        """Start with none."""
        self._node = node
        self._engine = engine
        self._demands: list[Demand] = []

    def add(self, field: str, source: str) -> Template:
        """Compile a text; raises TemplateError, which names it."""
        return self._add(field, source, self._check_memory)

    def _add(self, field: str, source: str, check: Callable[[Reference], None]) -> Template:
        text = f"the {field} of node {self._node.id!r}"
        try:
            template = self._engine.compile(source)
            for reference in template.references:
                check(reference)
        except TemplateError as fault:
            raise _about(text, fault) from None
        self._demands += (Demand(one, text) for one in template.references)
        return template

    def add_keys(self) -> tuple[Template, ...]:
        """Compile the keys of memory_write; WorkflowValidationError where one is always wrong."""
        keys = tuple(self.add("memory_write", one.key) for one in self._node.memory_write)
        for key in keys:
            known = literals(key)
            if known is not None and len(known) == 1:
                what = f"the memory_write of node {self._node.id!r}: the key"
                checked_name(known[0], what, WorkflowValidationError)
        return keys

    def add_read_keys(self) -> dict[int, Template]:
        """Compile the keys of memory_read; return those that are no plain text, by their place."""
        keys: dict[int, Template] = {}
        for place, wanted in enumerate(self._node.memory_read):
            template = self._add("memory_read", wanted.key, self._check_read_key)
            if literals(template) == (wanted.key,):
                continue
            if wanted.name == wanted.key:
                raise WorkflowValidationError(
                    f"the memory_read of node {self._node.id!r}: the key {wanted.key!r} is a "
                    f"template; say what the node calls it: {{'key': {wanted.key!r}, 'as': 'name'}}"
                )
            keys[place] = template
        return keys

    @property
    def nodes(self) -> dict[str, Demand]:
        """The ids of the nodes that are asked for, and by what; the node's own left out in keys."""
        own = f"the memory_write of node {self._node.id!r}"
        return {
            one.reference.root: one
            for one in self._demands
            if one.reference.root not in RESERVED
            and (one.reference.root, one.text) != (self._node.id, own)
        }

    @property
    def inputs(self) -> Iterator[tuple[str, Demand]]:
        """The inputs that rendering surely asks for, and by what."""
        for one in self._demands:
            root, path, unconditional = (
                one.reference.root,
                one.reference.path,
                one.reference.unconditional,
            )
            if root == "input" and path and unconditional:
                yield str(path[0]), one

    def _check_read_key(self, reference: Reference) -> None:
        """Nothing that is known only later may reach a key that is read."""
        late = {"memory": "before memory is read", self._node.id: "before the node has run"}
        if reference.root in late:
            raise _misplaced(
                reference,
                f"asks for {reference.name}, {late[reference.root]}: the key of what is "
                f"read is made of inputs, and of the outputs of other nodes",
            )

    def _check_memory(self, reference: Reference) -> None:
        """Only what a node reads may reach its texts."""
        if reference.root != "memory":
            return
        names = {one.name for one in self._node.memory_read}
        if not reference.path:
            raise _misplaced(reference, "asks for all memory: name a key, as in memory.history")
        name = str(reference.path[0])
        if name not in names:
            nearest = nearest_name(name, names)
            hint = f" Did you mean memory.{nearest}?" if nearest else ""
            raise _misplaced(
                reference,
                f"asks for memory.{name}, which the node does not read: "
                f"add {name!r} to its memory_read.{hint}",
                nearest and f"memory.{nearest}",
            )


def _misplaced(reference: Reference, fault: str, nearest: str | None = None) -> TemplateError:
    line, column = reference.line, reference.column
    return TemplateError(
        f"line {line}, column {column} {fault}",
        line=line,
        column=column,
        name=reference.name,
        nearest=nearest,
    )


def _about(text: str, fault: TemplateError) -> TemplateError:
    return TemplateError(
        f"{text}: {fault}",
        line=fault.line,
        column=fault.column,
        name=fault.name,
        nearest=fault.nearest,
    )
