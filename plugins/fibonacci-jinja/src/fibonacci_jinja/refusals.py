"""What a template may not do, and is told so when it is compiled."""

# ruff: noqa: N802 - Jinja finds visitors by the names of nodes

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from jinja2 import Environment, nodes
from jinja2.visitor import NodeVisitor

from fibonacci.errors import TemplateError
from fibonacci_jinja.places import column

PLAIN: Final = "A prompt that is no template is fibonacci.literal(...)"

_STANDS_ALONE: Final[dict[type[nodes.Node], str]] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
}
_NAME_BEFORE_MINUS: Final = re.compile(r"\b[A-Za-z_](?:[\w.-]*\w)?-$", re.ASCII)


class Refusals(NodeVisitor, ABC):
    """Walks through a tree, and raises TemplateError at what the sandbox does not have."""

    def __init__(self, environment: Environment, source: str) -> None:
        self._environment = environment
        self._lines = source.split("\n")

    @abstractmethod
    def is_local(self, name: str) -> bool:
        """Say whether the template has set this name, where the walk is."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> None:
        if type(node) in _STANDS_ALONE:
            told = f"{_STANDS_ALONE[type(node)]!r} is off: a template stands alone"
            self.refuse(node, told)
        super().generic_visit(node, *args, **kwargs)

    def visit_Call(self, node: nodes.Call) -> None:
        called = node.node
        if isinstance(called, nodes.Getattr):
            allowed = isinstance(called.node, nodes.Name) and called.node.name == "loop"
        else:
            allowed = isinstance(called, nodes.Name) and self.is_local(called.name)
        if not allowed:
            told = "values have no methods, and there are no functions: use filters"
            self.refuse(node, f"{told}. {PLAIN}")
        self.generic_visit(node)

    def visit_Sub(self, node: nodes.Sub) -> None:
        right: Any = node.right
        while isinstance(right, nodes.Getattr | nodes.Getitem | nodes.Filter | nodes.Test):
            right = right.node
        if isinstance(right, nodes.Name) and not self.is_local(right.name):
            before = self._lines[right.lineno - 1][: column(right.lineno) - 1]
            written = _NAME_BEFORE_MINUS.search(before[-200:])
            if written:
                self._refuse_minus(right, written[0] + right.name)
        self.generic_visit(node)

    def _refuse_minus(self, node: nodes.Name, name: str) -> NoReturn:
        owner, dot, key = name.rpartition(".")
        better = f"{owner}[{key!r}]" if dot else f"nodes[{name!r}]"
        self.refuse(
            node,
            f"{name!r} is read as a subtraction: write {better}, or blanks around the minus",
            name,
        )

    def check_known(
        self, node: nodes.Filter | nodes.Test, kind: str, known: Mapping[str, Any]
    ) -> None:
        if node.name not in known:
            nearest = get_close_matches(node.name, known, n=1)
            hint = f"Did you mean {nearest[0]!r}?" if nearest else PLAIN
            self.refuse(node, f"there is no {kind} {node.name!r}. {hint}", node.name, *nearest)

    def refuse(
        self, node: nodes.Node, told: str, name: str | None = None, nearest: str | None = None
    ) -> NoReturn:
        line, start = int(node.lineno), column(node.lineno)
        raise TemplateError(
            f"line {line}, column {start}: {told}",
            line=line,
            column=start,
            name=name,
            nearest=nearest,
        )
