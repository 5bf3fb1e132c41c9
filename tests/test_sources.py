"""Limits of the sources: lengths of files and functions, and what must be documented.

Imports, style and what must not be called are for import-linter and ruff: `tox run -e lint`.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, is_typeddict

import attrs
import pytest

import fibonacci
import fibonacci.plugin
from fibonacci import FunctionNode, LLMNode, Node, testing

pytestmark = pytest.mark.bare  # it reads the sources, and runs none of them

CHECKOUT = Path(__file__).parents[1]
FILES = sorted([*CHECKOUT.glob("core/src/**/*.py"), *CHECKOUT.glob("plugins/*/src/**/*.py")])

PUBLIC = (fibonacci, fibonacci.plugin)

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 40
"""Docstring included."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_no_file_is_too_long():
    """A file of core or a plugin has at most 500 lines: a longer one has more than one idea."""
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
    assert [name for name, thing in public_names(*PUBLIC) if not is_documented(name, thing)] == []


def test_public_methods_are_documented():
    """Each public method has a docstring that starts with a sentence."""
    assert [name for name, member in public_methods(*PUBLIC) if not is_a_sentence(member)] == []


def test_public_parameters_are_documented():
    """The docstring of each class and function that users call describes all its parameters."""
    assert undocumented(user_names()) == {}


def test_parameters_of_public_methods_are_documented():
    """The docstring of each method describes all its parameters, or names its sync form."""
    assert undocumented(user_methods()) == {}


def test_async_forms_take_the_same_parameters():
    """A method whose docstring only refers to its sync form has the same parameters as that."""
    methods = dict(user_methods(async_forms=True))
    references = {name: re.search(ASYNC_FORM, text_of(method)) for name, method in methods.items()}
    found = {name: name.rpartition(".")[0] + "." + m[1] for name, m in references.items() if m}
    assert len(found) > 50
    for name, sync in found.items():
        assert parameters(methods[name]) == parameters(methods[sync]), name


def test_documented_arguments_exist():
    """A docstring describes no argument that the class or function does not take."""
    for name, thing in [*user_names(), *user_methods()]:
        assert described(thing, "Args").keys() <= parameters(thing), name


@pytest.mark.parametrize("node", [LLMNode, FunctionNode])
def test_inherited_arguments_have_one_text(node: type[Node]):
    """What both kinds of nodes take is described in the same words."""
    common = described(Node)
    assert len(common) == 6
    assert {name: text for name, text in described(node).items() if name in common} == common


ASYNC_FORM = r"the async form of ``(\w+)``"
CREATED_BY_CORE = ("ExecutionResult", "History", "MemoryManager", "MemoryView", "RunMemory")
"""Classes that users get objects of, and can't call."""

USERS_TESTING_TOOLS = ("fresh_memory", "override_model", "ScriptedModel")


def user_names() -> Iterator[tuple[str, Any]]:
    for module, names in (fibonacci, fibonacci.__all__), (testing, USERS_TESTING_TOOLS):
        for name in set(names).difference(CREATED_BY_CORE):
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield name, thing


def user_methods(*, async_forms: bool = False) -> Iterator[tuple[str, Any]]:
    for name, member in public_methods(fibonacci):
        is_listed = async_forms or not re.search(ASYNC_FORM, text_of(member))
        if is_listed and inspect.isroutine(member):
            yield name, member


def undocumented(things: Iterable[tuple[str, Any]]) -> dict[str, set[str]]:
    """The parameters that a docstring does not describe, by the name of what takes them."""
    return {
        name: missing
        for name, thing in things
        if (missing := parameters(thing) - described(thing).keys())
    }


def parameters(of: Any) -> set[str]:
    """The names of what it takes; of a record, those of its public fields."""
    if inspect.isclass(of) and (attrs.has(of) or is_typeddict(of)):
        names = attrs.fields_dict(of) if attrs.has(of) else of.__annotations__
        return {name for name in names if not name.startswith("_")}
    if inspect.isclass(of) and issubclass(of, Exception):
        of = vars(of).get("__init__", lambda: None)  # an inherited one is for the base to describe
    return set(inspect.signature(of).parameters) - {"self", "message"}


def described(of: Any, section: str = "Args|Attributes") -> dict[str, str]:
    """What the docstring says of each parameter or attribute; an error's text just names them."""
    text = text_of(of)
    if inspect.isclass(of) and issubclass(of, Exception):
        return {name: "" for name in parameters(of) if f"``{name}``" in text}
    found = {}
    for lines in re.findall(rf"^(?:{section}):\n((?: {{4}}.*\n?)+)", text, re.MULTILINE):
        found |= dict(re.findall(r"^ {4}\*?(\w+): (.*(?:\n {8}.*)*)", lines, re.MULTILINE))
    return found


def text_of(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def public_names(*modules: ModuleType) -> Iterator[tuple[str, object]]:
    return ((name, getattr(module, name)) for module in modules for name in module.__all__)


def public_methods(*modules: ModuleType) -> Iterator[tuple[str, object]]:
    for name, thing in public_names(*modules):
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


@cache
def documented_constants() -> set[str]:
    """Return the names whose assignment, anywhere in the sources, has a string below it."""
    found = set()
    for path in FILES:
        for node, below in pairwise(tree(path).body):
            assigned = getattr(node, "targets", [getattr(node, "target", None)])
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found |= {name.id for name in assigned if isinstance(name, ast.Name)}
    return found
