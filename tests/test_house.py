"""The laws of the house, read off its own source."""

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import fibonacci
import fibonacci.plugin

HOUSE = Path(fibonacci.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
PARTS = [str(path.relative_to(HOUSE)) for path in FILES]

FACE = {*fibonacci.__all__, "__version__"}

BANNED = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "yaml",
    "marshal.loads",
    "marshal.load",
}
"""Modules and functions that run, or build, whatever they read."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> Iterator[str]:
    """The full names of what a file imports, wherever in the file."""
    package = ("fibonacci", *path.relative_to(HOUSE).parent.parts)
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join(filter(None, (*above, node.module or "")))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def called(path: Path) -> Iterator[str]:
    """What a file calls, as it is written: ``exec``, ``json.loads``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("part", PARTS)
def test_nothing_inside_imports_the_face(part: str):
    """Only ``fibonacci.testing`` stands above the face; all else would make a circle."""
    if part.startswith("testing/"):
        return
    names = set(imported(HOUSE / part))
    assert "fibonacci" not in names
    assert not {name for name in names if name.removeprefix("fibonacci.") in FACE}


@pytest.mark.parametrize("part", PARTS)
def test_nothing_runs_what_it_reads(part: str):
    """C8: no pickle, no YAML, no eval; and of marshal only the half that writes."""
    path = HOUSE / part
    names = {*imported(path), *called(path)}
    assert not {name for name in names if name in BANNED or name.split(".")[0] in BANNED}
    assert not names & {"eval", "builtins.eval", "__import__"}


def test_exec_is_used_once_and_on_our_own_text():
    """The sync voice is compiled from signatures; nothing else is."""
    assert [part for part in PARTS if "exec" in called(HOUSE / part)] == [
        "_memory/operations/verbs.py"
    ]


@pytest.mark.parametrize("part", PARTS)
def test_a_file_is_no_longer_than_300_lines(part: str):
    """A file has one idea; a longer one wants to be two."""
    assert len((HOUSE / part).read_text().splitlines()) <= 300


@pytest.mark.parametrize("part", PARTS)
def test_a_function_is_no_longer_than_60_lines(part: str):
    """Docstring included."""
    long = {
        node.name: lines
        for node in ast.walk(tree(HOUSE / part))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert not long


@pytest.mark.parametrize("part", PARTS)
def test_a_file_says_what_it_is(part: str):
    """Every module begins with a docstring; its first sentence ends with a full stop."""
    text = ast.get_docstring(tree(HOUSE / part))
    assert text
    assert text.split("\n\n")[0].rstrip().endswith((".", "::"))


def documented_constants() -> set[str]:
    """The names, anywhere in the house, whose assignment has a docstring below it."""
    found = set()
    for path in FILES:
        body = tree(path).body
        for node, below in pairwise(body):
            names = (
                [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            )
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found |= {name.id for name in names if isinstance(name, ast.Name)}
    return found


def public(module: ModuleType) -> list[str]:
    return [f"{module.__name__}.{name}" for name in module.__all__]


@pytest.mark.parametrize("name", [*public(fibonacci), *public(fibonacci.plugin)])
def test_a_public_name_is_documented(name: str):
    """Classes and functions by their docstring, constants by the string below them."""
    module, _, attribute = name.rpartition(".")
    thing = getattr(fibonacci.plugin if module.endswith("plugin") else fibonacci, attribute)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        assert inspect.getdoc(thing)
        assert thing.__doc__
    else:
        assert attribute in documented_constants()


def public_methods() -> Iterator[tuple[str, object]]:
    for module in (fibonacci, fibonacci.plugin):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                for method, member in inspect.getmembers(thing):
                    home = getattr(member, "__module__", "") or ""
                    if not method.startswith("_") and home.startswith("fibonacci"):
                        yield f"{name}.{method}", member


@pytest.mark.parametrize(
    ("name", "member"), [*public_methods()], ids=lambda part: part if isinstance(part, str) else ""
)
def test_a_public_method_is_documented(name: str, member: object):
    """Every verb and every primitive of a store says what it does, in a sentence."""
    text = inspect.getdoc(member)
    assert text, name
    assert text.split("\n\n")[0].rstrip().endswith((".", "::")), name
