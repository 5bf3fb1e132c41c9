"""The code that a template becomes: Jinja's, with our look-ups in it."""

# ruff: noqa: N802 - Jinja finds visitors by the names of nodes

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame

from fibonacci_jinja.environment import Way


class Generator(CodeGenerator):
    """Compiles a tree whose look-ups were found and named before."""

    def __init__(self, environment: Environment, ways: Mapping[nodes.Node, Way]) -> None:
        self._written = StringIO()
        super().__init__(environment, None, None, self._written, optimized=False)
        self._ways = ways

    def code(self, tree: nodes.Template) -> str:
        """Return the Python of a tree."""
        self.visit(tree)
        return self._written.getvalue()

    def newline(self, node: nodes.Node | None = None, extra: int = 0) -> None:
        super().newline(node, extra)
        if node is not None:  # Jinja notes one node a line, we want the columns of all
            self._write_debug_info = node.lineno

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:
        if node.ctx != "load":
            return super().visit_Name(node, frame)
        reference = frame.symbols.ref(node.name)
        unknown = f"environment.unknown(context, {self._way(node)})"
        self.write(f"({unknown} if {reference} is missing else {reference})")
        return None

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        self._look_up(node, frame, lambda: self.write(repr(node.attr)))

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
        else:
            self._look_up(node, frame, lambda: self.visit(node.arg, frame))

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def _look_up(
        self, node: nodes.Getattr | nodes.Getitem, frame: Frame, key: Callable[[], None]
    ) -> None:
        self.write("environment.look_up(")
        self.visit(node.node, frame)
        self.write(", ")
        key()
        self.write(f", {self._way(node)})")

    def _way(self, node: nodes.Node) -> str:
        return repr(tuple(self._ways[node]))

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        # Jinja computes constants by Python's str, whatever the code would do.
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)
