"""The tree of errors: one root, drawn in the docstring, and exported completely."""

import ast
import builtins
import inspect
import pickle
import re
from typing import Any

import pytest

import fibonacci
from fibonacci import errors

CLASSES: dict[str, Any] = {
    name: thing
    for name, thing in vars(errors).items()
    if inspect.isclass(thing) and thing.__module__ == errors.__name__
}


def drawn() -> dict[str, str | None]:
    """The tree in the module's docstring: each class, and what it hangs from."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([ │├└─]*)([A-Z]\w+Error)\b", line)
        if match:
            depth, name = len(match[1]), match[2]
            above = [(column, parent) for column, parent in above if column < depth]
            parents[name] = above[-1][1] if above else None
            above.append((depth, name))
    return parents


def test_tree_in_the_docstring_is_the_real_one():
    """The docstring of fibonacci.errors draws every class below its base class."""
    real = {
        name: next((base.__name__ for base in kind.__bases__ if base.__name__ in CLASSES), None)
        for name, kind in CLASSES.items()
    }
    assert drawn() == real


def test_every_error_is_a_fibonacci_error():
    """``except FibonacciError`` catches every error."""
    assert all(issubclass(kind, errors.FibonacciError) for kind in CLASSES.values())


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_has_a_docstring(name: str):
    """Every error class has its own docstring, a sentence."""
    text = vars(CLASSES[name]).get("__doc__")
    assert text
    assert text.strip().endswith(".")


def test_no_error_shadows_a_builtin():
    """No error class has the name of a builtin."""
    assert not set(CLASSES) & set(dir(builtins))


def test_package_exports_every_error():
    """The package ``fibonacci`` exports every error class."""
    assert set(CLASSES) <= set(fibonacci.__all__)
    assert all(getattr(fibonacci, name) is kind for name, kind in CLASSES.items())


def test_all_names_are_exported_and_sorted():
    """``from fibonacci import *`` works, and ``__all__`` is sorted."""
    assert all(hasattr(fibonacci, name) for name in fibonacci.__all__)
    assert fibonacci.__all__ == sorted(
        fibonacci.__all__, key=lambda name: (not name.isupper(), name)
    )


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("ConfigurationError", ValueError),
        ("InvalidKeyError", ValueError),
        ("InvalidArgumentError", ValueError),
        ("ScopeError", ValueError),
        ("SerializationError", TypeError),
        ("SerializationError", ValueError),
        ("WrongTypeError", TypeError),
    ],
)
def test_argument_errors_are_builtin_errors_too(name: str, standard: type):
    """Errors about arguments are ValueErrors or TypeErrors too, as those of ``json.dumps``."""
    assert issubclass(CLASSES[name], standard)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_errors_can_be_pickled(name: str):
    """Every error can be pickled, as worker processes do with exceptions."""
    error = CLASSES[name]("what, where, and how to mend it")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_errors_module_imports_nothing():
    """``fibonacci.errors`` imports no other module of the package."""
    nodes = ast.walk(ast.parse(inspect.getsource(errors)))
    assert not [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
