"""The tree of errors: one root, drawn once, and all of it within reach."""

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


def test_the_tree_in_the_docstring_is_the_real_one():
    """Every class is drawn, where it hangs."""
    real = {
        name: next((base.__name__ for base in kind.__bases__ if base.__name__ in CLASSES), None)
        for name, kind in CLASSES.items()
    }
    assert drawn() == real


def test_every_error_has_the_one_root():
    """``except FibonacciError`` catches them all."""
    assert all(issubclass(kind, errors.FibonacciError) for kind in CLASSES.values())


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_says_what_it_means(name: str):
    """Each class has a docstring of its own, a sentence."""
    text = vars(CLASSES[name]).get("__doc__")
    assert text
    assert text.strip().endswith(".")


def test_no_built_in_is_shadowed():
    """Importing every name changes the meaning of none."""
    assert not set(CLASSES) & set(dir(builtins))


def test_the_face_exports_them_all():
    """A user imports errors from where everything else is."""
    assert set(CLASSES) <= set(fibonacci.__all__)
    assert all(getattr(fibonacci, name) is kind for name, kind in CLASSES.items())


def test_all_names_of_the_face_are_there_and_sorted():
    """``from fibonacci import *`` works, and the list is easy to read."""
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
def test_a_wrong_argument_is_also_what_python_calls_it(name: str, standard: type):
    """Code that catches ValueError or TypeError, as for ``json.dumps``, goes on working."""
    assert issubclass(CLASSES[name], standard)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_survives_the_way_to_another_process(name: str):
    """Worker processes hand exceptions back by pickling them."""
    error = CLASSES[name]("what, where, and how to mend it")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_the_errors_import_nothing():
    """``fibonacci.errors`` is the ground floor: it has no import of its own."""
    nodes = ast.walk(ast.parse(inspect.getsource(errors)))
    assert not [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
