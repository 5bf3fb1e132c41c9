"""Generates a template's Python code: Jinja's, with our lookups in it."""

# ruff: noqa: N802 - Jinja finds visitors by the names of nodes

from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame

from fibonacci_jinja.sandbox import Lookup


class LookupCodeGenerator(CodeGenerator):
    """Compiles a tree whose lookups were collected before."""

    def __init__(self, environment: Environment, lookups: Mapping[nodes.Node, Lookup]) -> None:
        self._buffer = StringIO()
        super().__init__(environment, None, None, self._buffer, optimized=False)
        self._lookups = lookups

    def generate(self, tree: nodes.Template) -> str:
        """Return the Python code of a tree."""
        self.visit(tree)
        return self._buffer.getvalue()

    def newline(self, node: nodes.Node | None = None, extra: int = 0) -> None:
        super().newline(node, extra)
        if node is not None:  # Jinja records one node per line, we need the columns of all
            self._write_debug_info = node.lineno

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:
        if node.ctx != "load":
            return super().visit_Name(node, frame)
        reference = frame.symbols.ref(node.name)
        undefined = f"environment.undefined_name(context, {self._lookup(node)})"
        self.write(f"({undefined} if {reference} is missing else {reference})")
        return None

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        self._write_lookup(node, frame, lambda: self.write(repr(node.attr)))

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
        else:
            self._write_lookup(node, frame, lambda: self.visit(node.arg, frame))

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def _write_lookup(
        self, node: nodes.Getattr | nodes.Getitem, frame: Frame, write_key: Callable[[], None]
    ) -> None:
        self.write("environment.look_up(")
        self.visit(node.node, frame)
        self.write(", ")
        write_key()
        self.write(f", {self._lookup(node)})")

    def _lookup(self, node: nodes.Node) -> str:
        return repr(tuple(self._lookups[node]))

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        # Jinja renders constants by Python's str, whatever the generated code would do.
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)
