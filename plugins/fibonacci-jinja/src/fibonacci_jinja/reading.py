"""Reading a template's tree: which values it asks for, and what is none of its business."""

# ruff: noqa: N802 - Jinja finds visitors by the names of nodes

from collections import ChainMap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jinja2 import Environment, nodes

from fibonacci.plugin import Reference
from fibonacci_jinja.environment import Way
from fibonacci_jinja.places import column
from fibonacci_jinja.refusals import Refusals

Subscript = nodes.Getattr | nodes.Getitem


class Reader(Refusals):
    """Finds references and the way of every look-up. Names that the template sets are local."""

    def __init__(self, environment: Environment, source: str) -> None:
        super().__init__(environment, source)
        self.ways: dict[nodes.Node, Way] = {}
        self._found: list[Reference] = []
        self._locals: ChainMap[str, bool] = ChainMap()
        """Of each local name, whether it holds a part of memory."""
        self._certain = True

    def is_local(self, name: str) -> bool:
        return name in self._locals

    @property
    def references(self) -> tuple[Reference, ...]:
        """In the order of the text."""
        return tuple(sorted(self._found, key=lambda one: (one.line, one.column)))

    def visit_Name(self, node: nodes.Name) -> None:
        self._follow(node)

    def visit_Getattr(self, node: nodes.Getattr) -> None:
        self._follow(node)

    def visit_Getitem(self, node: nodes.Getitem) -> None:
        self._follow(node)

    def _follow(self, node: nodes.Expr) -> None:
        """Note the way of each step of ``a.b[c].d``, and the whole as one reference."""
        steps: list[Subscript] = []
        root = node
        while isinstance(root, Subscript):
            steps.insert(0, root)
            root = root.node
        if not isinstance(root, nodes.Name):
            self.visit(root)
        self._note(root, steps)
        for step in steps:
            if isinstance(step, nodes.Getitem):
                self.visit(step.arg)
        if isinstance(root, nodes.Name) and not self.is_local(root.name):
            self._refer(root, steps)

    def _note(self, root: nodes.Expr, steps: list[Subscript]) -> None:
        in_memory = self._is_memory(root)
        line = (root if isinstance(root, nodes.Name) else steps[0]).lineno
        written: list[str | int | None] = [root.name if isinstance(root, nodes.Name) else None]
        for node in (root, *steps) if isinstance(root, nodes.Name) else steps:
            written += [_key(node)] if isinstance(node, Subscript) else []
            keys = written[1:] if written[0] == "nodes" and len(written) > 1 else written
            name = None if None in keys else ".".join(map(str, keys))
            self.ways[node] = Way(int(line), column(line), name, in_memory)

    def _refer(self, root: nodes.Name, steps: list[Subscript]) -> None:
        path: list[str | int] = []
        for step in steps:
            key = _key(step)
            if key is None:
                break
            path.append(key)
        name = root.name
        if name == "self":
            self.refuse(root, "'self' is Jinja's own here; a node of that id is nodes['self']")
        if name == "nodes":
            if not path or not isinstance(path[0], str):
                self.refuse(root, "nodes takes the id of a node: nodes['my-node'].text")
            name = str(path.pop(0))
        self._found.append(
            Reference(
                root=name,
                path=tuple(path),
                line=int(root.lineno),
                column=column(root.lineno),
                unconditional=self._certain,
            )
        )

    def _is_memory(self, node: nodes.Node | None) -> bool:
        """Say whether what is missing below an expression is missing in memory."""
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

    def _set(self, target: nodes.Node, in_memory: bool = False) -> None:
        if isinstance(target, nodes.NSRef) or target.find(nodes.NSRef):
            self.refuse(target, "a name with a dot can't be set: values are never changed")
        for name in target.find_all(nodes.Name) if not isinstance(target, nodes.Name) else [target]:
            self._locals[name.name] = in_memory

    @contextmanager
    def _scope(self, *names: str) -> Iterator[None]:
        self._locals = self._locals.new_child(dict.fromkeys(names, False))
        yield
        self._locals = self._locals.parents

    @contextmanager
    def _perhaps(self) -> Iterator[None]:
        before, self._certain = self._certain, False
        yield
        self._certain = before

    def _visit_all(self, several: Iterable[nodes.Node | None]) -> None:
        for node in several:
            if node is not None:
                self.visit(node)

    def visit_Assign(self, node: nodes.Assign) -> None:
        self.visit(node.node)
        self._set(node.target, self._is_memory(node.node))

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> None:
        with self._scope():
            self._visit_all([node.filter, *node.body])
        self._set(node.target)

    def visit_FilterBlock(self, node: nodes.FilterBlock) -> None:
        with self._scope():
            self._visit_all([node.filter, *node.body])

    def visit_With(self, node: nodes.With) -> None:
        self._visit_all(node.values)
        held = [self._is_memory(value) for value in node.values]
        with self._scope():
            for target, in_memory in zip(node.targets, held, strict=True):
                self._set(target, in_memory)
            self._visit_all(node.body)

    def visit_For(self, node: nodes.For) -> None:
        self.visit(node.iter)
        with self._perhaps():
            with self._scope("loop"):
                self._set(node.target, self._is_memory(node.iter))
                self._visit_all([node.test, *node.body])
            with self._scope():
                self._visit_all(node.else_)

    def visit_Macro(self, node: nodes.Macro) -> None:
        self._locals[node.name] = False
        self._body(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> None:
        self.visit(node.call)
        self._body(node)

    def _body(self, node: nodes.Macro | nodes.CallBlock) -> None:
        with self._perhaps(), self._scope("caller", "varargs", "kwargs"):
            for argument in node.args:
                self._set(argument)
            self._visit_all([*node.defaults, *node.body])

    # What is asked for only perhaps.

    def visit_If(self, node: nodes.If) -> None:
        self.visit(node.test)
        with self._perhaps():
            self._visit_all([*node.body, *node.elif_, *node.else_])

    def visit_CondExpr(self, node: nodes.CondExpr) -> None:
        self.visit(node.test)
        with self._perhaps():
            self._visit_all([node.expr1, node.expr2])

    def visit_And(self, node: nodes.And) -> None:
        self._first_only(node.left, [node.right])

    def visit_Or(self, node: nodes.Or) -> None:
        self._first_only(node.left, [node.right])

    def visit_Compare(self, node: nodes.Compare) -> None:
        self.visit(node.expr)
        self._first_only(node.ops[0], node.ops[1:])

    def _first_only(self, first: nodes.Node, others: Iterable[nodes.Node]) -> None:
        self.visit(first)
        with self._perhaps():
            self._visit_all(others)

    def visit_Filter(self, node: nodes.Filter) -> None:
        self.check_known(node, "filter", self._environment.filters)
        if node.name in ("d", "default"):
            with self._perhaps():
                self.generic_visit(node)
        else:
            self.generic_visit(node)

    def visit_Test(self, node: nodes.Test) -> None:
        self.check_known(node, "test", self._environment.tests)
        if node.name in ("defined", "undefined"):
            with self._perhaps():
                self.generic_visit(node)
        else:
            self.generic_visit(node)


def _key(step: Subscript) -> str | int | None:
    """The key or index, where it is written out."""
    if isinstance(step, nodes.Getattr):
        return step.attr
    value = step.arg.value if isinstance(step.arg, nodes.Const) else None
    if isinstance(value, str) or (type(value) is int and value >= 0):
        return value
    return None


def literals(tree: nodes.Template) -> tuple[str, ...] | None:
    """Return the text around the values; None where a statement decides what stands there."""
    found = [""]
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for part in statement.nodes:
            if isinstance(part, nodes.TemplateData):
                found[-1] += part.data
            else:
                found.append("")
    return tuple(found)
