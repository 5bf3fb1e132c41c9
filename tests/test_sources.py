"""The sources: how long files and functions may be, and what has to be documented.

Imports, style and what must not be called are for import-linter and ruff: `tox run -e lint`.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import fibonacci
import fibonacci.plugin

pytestmark = pytest.mark.bare  # it reads the sources, and runs none of them

CHECKOUT = Path(__file__).parents[1]
FILES = sorted([*CHECKOUT.glob("core/src/**/*.py"), *CHECKOUT.glob("plugins/*/src/**/*.py")])

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 40
"""Docstring included."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_no_file_is_too_long():
    """A file of core or a plugin has at most 500 lines: CONTRIBUTING.md says why."""
    lengths = {str(path): len(path.read_text().splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > LINES_OF_A_FILE} == {}


def test_no_function_is_too_long():
    """A function of core or a plugin has at most 40 lines."""
    lengths = {
        f"{path}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > LINES_OF_A_FUNCTION} == {}


def test_public_names_are_documented():
    """Each public class and function has a docstring, each constant a string below it."""
    assert [name for name, thing in public_names() if not is_documented(name, thing)] == []


def test_public_methods_are_documented():
    """Each public method says what it does, in a sentence."""
    assert [name for name, member in public_methods() if not is_a_sentence(member)] == []


def public_names() -> Iterator[tuple[str, object]]:
    modules: list[ModuleType] = [fibonacci, fibonacci.plugin]
    return ((name, getattr(module, name)) for module in modules for name in module.__all__)


def public_methods() -> Iterator[tuple[str, object]]:
    for name, thing in public_names():
        if inspect.isclass(thing):
            for method, member in inspect.getmembers(thing):
                home = getattr(member, "__module__", "") or ""
                if not method.startswith("_") and home.startswith("fibonacci"):
                    yield f"{name}.{method}", member


def is_documented(name: str, thing: object) -> bool:
    if inspect.isclass(thing) or inspect.isroutine(thing):
        return bool(thing.__doc__)
    return name in documented_constants()


def is_a_sentence(member: object) -> bool:
    text = inspect.getdoc(member) or ""
    return text.split("\n\n")[0].rstrip().endswith((".", "::"))


def documented_constants() -> set[str]:
    """The names whose assignment, anywhere in the sources, has a string below it."""
    found = set()
    for path in FILES:
        for node, below in pairwise(tree(path).body):
            assigned = getattr(node, "targets", [getattr(node, "target", None)])
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found |= {name.id for name in assigned if isinstance(name, ast.Name)}
    return found
