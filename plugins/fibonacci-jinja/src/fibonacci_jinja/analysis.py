"""Analyzes a template's tree: its references and lookups, and what the sandbox does not allow."""

# ruff: noqa: N802 - Jinja finds visitors by the names of nodes

import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from jinja2 import Environment, nodes
from jinja2.visitor import NodeVisitor

from fibonacci.errors import TemplateError
from fibonacci.plugin import Reference
from fibonacci_jinja.lexing import column_of
from fibonacci_jinja.sandbox import Lookup

Subscript = nodes.Getattr | nodes.Getitem

LITERAL_HINT: Final = "For a prompt that is not a template, use fibonacci.literal(...)"

_NO_OTHER_TEMPLATE: Final = "a template can't load or extend another one"
_DISABLED_STATEMENTS: Final[dict[type[nodes.Node], tuple[str, str]]] = {
    nodes.Include: ("include", _NO_OTHER_TEMPLATE),
    nodes.Import: ("import", _NO_OTHER_TEMPLATE),
    nodes.FromImport: ("import", _NO_OTHER_TEMPLATE),
    nodes.Extends: ("extends", _NO_OTHER_TEMPLATE),
    nodes.Block: ("block", _NO_OTHER_TEMPLATE),
    nodes.ScopedEvalContextModifier: ("autoescape", "nothing is escaped except by | e"),
}
"""The names of the statements, and the reasons."""
_NAME_BEFORE_MINUS: Final = re.compile(r"\b[A-Za-z_](?:[\w.-]*\w)?-$", re.ASCII)


class TemplateAnalyzer(NodeVisitor):
    """Collects references and lookups. Names that the template sets are local.

    Raises TemplateError for what the sandbox does not allow.
    """

    def __init__(self, environment: Environment, source: str) -> None:
        self._environment = environment
        self._source_lines = source.split("\n")
        self.lookups: dict[nodes.Node, Lookup] = {}
        self._references: list[Reference] = []
        self._locals: ChainMap[str, bool] = ChainMap()
        """Maps each local name to whether it holds a part of memory."""
        self._unconditional = True

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in the order of the text."""
        return tuple(sorted(self._references, key=lambda found: (found.line, found.column)))

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> None:
        if type(node) in _DISABLED_STATEMENTS:
            statement, reason = _DISABLED_STATEMENTS[type(node)]
            self._refuse(node, f"{statement!r} is disabled: {reason}")
        super().generic_visit(node, *args, **kwargs)

    # References and lookups.

    def visit_Name(self, node: nodes.Name) -> None:
        self._visit_lookup(node)

    def visit_Getattr(self, node: nodes.Getattr) -> None:
        self._visit_lookup(node)

    def visit_Getitem(self, node: nodes.Getitem) -> None:
        self._visit_lookup(node)

    def _visit_lookup(self, node: nodes.Expr) -> None:
        """Record each step of ``a.b[c].d`` as a lookup, and the whole as one reference."""
        steps: list[Subscript] = []
        root = node
        while isinstance(root, Subscript):
            steps.insert(0, root)
            root = root.node
        if not isinstance(root, nodes.Name):
            self.visit(root)
        self._record_lookups(root, steps)
        for step in steps:
            if isinstance(step, nodes.Getitem):
                self.visit(step.arg)
        if isinstance(root, nodes.Name) and not self._is_local(root.name):
            self._record_reference(root, steps)

    def _record_lookups(self, root: nodes.Expr, steps: list[Subscript]) -> None:
        in_memory = self._is_memory(root)
        line = (root if isinstance(root, nodes.Name) else steps[0]).lineno
        path: list[str | int | None] = [root.name if isinstance(root, nodes.Name) else None]
        for node in (root, *steps) if isinstance(root, nodes.Name) else steps:
            path += [_literal_key(node)] if isinstance(node, Subscript) else []
            keys = path[1:] if path[0] == "nodes" and len(path) > 1 else path
            name = None if None in keys else ".".join(map(str, keys))
            self.lookups[node] = Lookup(int(line), column_of(line), name, in_memory)

    def _record_reference(self, root: nodes.Name, steps: list[Subscript]) -> None:
        path: list[str | int] = []
        for step in steps:
            key = _literal_key(step)
            if key is None:
                break
            path.append(key)
        name = root.name
        if name == "self":
            self._refuse(root, "'self' is reserved by Jinja; a node with that id is nodes['self']")
        if name == "nodes":
            if not path or not isinstance(path[0], str):
                self._refuse(root, "nodes takes the id of a node: nodes['my-node'].text")
            name = str(path.pop(0))
        self._references.append(
            Reference(
                root=name,
                path=tuple(path),
                line=int(root.lineno),
                column=column_of(root.lineno),
                unconditional=self._unconditional,
            )
        )

    def _is_memory(self, node: nodes.Node | None) -> bool:
        """Return whether a child missing in an expression's value is missing in memory."""
        while not isinstance(node, nodes.Name):
            if isinstance(node, nodes.BinExpr):
                node = node.left
            elif isinstance(node, nodes.CondExpr):
                node = node.expr1
            elif isinstance(node, nodes.Getattr | nodes.Getitem | nodes.Filter):
                node = node.node
            else:
                return False
        return self._locals.get(node.name, node.name == "memory")

    # Names that the template sets.

    def _is_local(self, name: str) -> bool:
        return name in self._locals

    def _set_local(self, target: nodes.Node, in_memory: bool = False) -> None:
        if isinstance(target, nodes.NSRef) or target.find(nodes.NSRef):
            self._refuse(target, "a name with a dot can't be set: values are read-only")
        names = [target] if isinstance(target, nodes.Name) else target.find_all(nodes.Name)
        for name in names:
            self._locals[name.name] = in_memory

    @contextmanager
    def _scope(self, *names: str) -> Iterator[None]:
        self._locals = self._locals.new_child(dict.fromkeys(names, False))
        yield
        self._locals = self._locals.parents

    @contextmanager
    def _conditional(self) -> Iterator[None]:
        before, self._unconditional = self._unconditional, False
        yield
        self._unconditional = before

    def _visit_all(self, optional_nodes: Iterable[nodes.Node | None]) -> None:
        for node in optional_nodes:
            if node is not None:
                self.visit(node)

    def visit_Assign(self, node: nodes.Assign) -> None:
        self.visit(node.node)
        self._set_local(node.target, self._is_memory(node.node))

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> None:
        with self._scope():
            self._visit_all([node.filter, *node.body])
        self._set_local(node.target)

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> None:
        with self._scope():
            self._visit_all([node.filter, *node.body])

    def visit_With(self, node: nodes.With) -> None:
        self._visit_all(node.values)
        in_memory = [self._is_memory(value) for value in node.values]
        with self._scope():
            for target, is_memory in zip(node.targets, in_memory, strict=True):
                self._set_local(target, is_memory)
            self._visit_all(node.body)

    def visit_For(self, node: nodes.For) -> None:
        self.visit(node.iter)
        with self._conditional():
            with self._scope("loop"):
                self._set_local(node.target, self._is_memory(node.iter))
                self._visit_all([node.test, *node.body])
            with self._scope():
                self._visit_all(node.else_)

    def visit_Macro(self, node: nodes.Macro) -> None:
        self._locals[node.name] = False
        self._visit_macro_body(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> None:
        self.visit(node.call)
        self._visit_macro_body(node)

    def _visit_macro_body(self, node: nodes.Macro | nodes.CallBlock) -> None:
        with self._conditional(), self._scope("caller", "varargs", "kwargs"):
            for argument in node.args:
                self._set_local(argument)
            self._visit_all([*node.defaults, *node.body])

    # Expressions whose parts are evaluated conditionally.

    def visit_If(self, node: nodes.If) -> None:
        self.visit(node.test)
        with self._conditional():
            self._visit_all([*node.body, *node.elif_, *node.else_])

    def visit_CondExpr(self, node: nodes.CondExpr) -> None:
        self.visit(node.test)
        with self._conditional():
            self._visit_all([node.expr1, node.expr2])

    def visit_And(self, node: nodes.And) -> None:
        self._visit_short_circuit(node.left, [node.right])

    def visit_Or(self, node: nodes.Or) -> None:
        self._visit_short_circuit(node.left, [node.right])

    def visit_Compare(self, node: nodes.Compare) -> None:
        self.visit(node.expr)
        self._visit_short_circuit(node.ops[0], node.ops[1:])

    def _visit_short_circuit(self, first: nodes.Node, others: Iterable[nodes.Node]) -> None:
        self.visit(first)
        with self._conditional():
            self._visit_all(others)

    def visit_Filter(self, node: nodes.Filter) -> None:
        self._check_known(node, "filter", self._environment.filters)
        if node.name in ("d", "default"):
            with self._conditional():
                self.generic_visit(node)
        else:
            self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> None:
        self._check_known(node, "test", self._environment.tests)
        if node.name in ("defined", "undefined"):
            with self._conditional():
                self.generic_visit(node)
        else:
            self.generic_visit(node)

    # What the sandbox does not allow.

    def visit_Call(self, node: nodes.Call) -> None:
        called = node.node
        if isinstance(called, nodes.Getattr):
            is_allowed = isinstance(called.node, nodes.Name) and called.node.name == "loop"
        else:
            is_allowed = isinstance(called, nodes.Name) and self._is_local(called.name)
        if not is_allowed:
            reason = "values have no methods, and there are no functions: use filters"
            self._refuse(node, f"{reason}. {LITERAL_HINT}")
        self.generic_visit(node)

    def visit_Sub(self, node: nodes.Sub) -> None:
        right: Any = node.right
        while isinstance(right, nodes.Getattr | nodes.Getitem | nodes.Filter | nodes.Test):
            right = right.node
        if isinstance(right, nodes.Name) and not self._is_local(right.name):
            before = self._source_lines[right.lineno - 1][: column_of(right.lineno) - 1]
            match = _NAME_BEFORE_MINUS.search(before[-200:])
            if match:
                self._refuse_minus(right, match[0] + right.name)
        self.generic_visit(node)

    def _refuse_minus(self, node: nodes.Name, name: str) -> NoReturn:
        owner, dot, key = name.rpartition(".")
        suggestion = f"{owner}[{key!r}]" if dot else f"nodes[{name!r}]"
        self._refuse(
            node,
            f"{name!r} is a subtraction in Jinja: write {suggestion}, or blanks around the minus",
            name,
        )

    def _check_known(
        self, node: nodes.Filter | nodes.Test, kind: str, known: Mapping[str, Any]
    ) -> None:
        if node.name not in known:
            nearest = get_close_matches(node.name, known, n=1)
            hint = f"Did you mean {nearest[0]!r}?" if nearest else LITERAL_HINT
            self._refuse(node, f"there is no {kind} {node.name!r}. {hint}", node.name, *nearest)

    def _refuse(
        self, node: nodes.Node, message: str, name: str | None = None, nearest: str | None = None
    ) -> NoReturn:
        line, column = int(node.lineno), column_of(node.lineno)
        raise TemplateError(
            f"line {line}, column {column}: {message}",
            line=line,
            column=column,
            name=name,
            nearest=nearest,
        )


def _literal_key(step: Subscript) -> str | int | None:
    """Return the key or index of a step, None if it is computed."""
    if isinstance(step, nodes.Getattr):
        return step.attr
    value = step.arg.value if isinstance(step.arg, nodes.Const) else None
    if isinstance(value, str) or (type(value) is int and value >= 0):
        return value
    return None


def literals(tree: nodes.Template) -> tuple[str, ...] | None:
    """Return the texts around the values; None if a statement decides which texts are rendered."""
    texts = [""]
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for part in statement.nodes:
            if isinstance(part, nodes.TemplateData):
                texts[-1] += part.data
            else:
                texts.append("")
    return tuple(texts)
