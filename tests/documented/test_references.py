"""An attribute of a public class that a page or a docstring names exists."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import fibonacci
from fibonacci import errors, plugin, testing
from fibonacci.plugin import runtime

from .conftest import ROOT

FILES = sorted(
    file.relative_to(ROOT)
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "core/*.md",
        "core/src/**/*.py",
        "plugins/*/*.md",
        "plugins/*/src/**/*.py",
        "examples/**/*.md",
        "examples/backends/*/src/**/*.py",
    )
    for file in ROOT.glob(pattern)
)
MODULES = (fibonacci, plugin, runtime, testing)
CLASSES = {
    name: thing
    for module in MODULES
    for name in module.__all__
    if inspect.isclass(thing := getattr(module, name))
} | {name: thing for name, thing in vars(errors).items() if inspect.isclass(thing)}


def references(text: str) -> Iterator[tuple[str, str]]:
    """Yield each ``Class.attribute`` in backquotes whose class is public."""
    for quoted in re.findall(r"`+([^`\n]+)`+", text):
        for name, attribute in re.findall(r"\b([A-Z]\w*)\.([A-Za-z_]\w*)", quoted):
            if name in CLASSES:
                yield name, attribute


def has(of: type, attribute: str) -> bool:
    """Say whether the class has the attribute, or declares it for its instances."""
    declared = {name for base in of.__mro__ for name in vars(base).get("__annotations__", ())}
    return hasattr(of, attribute) or attribute in declared


def dead(text: str) -> list[str]:
    """Return the references that lead nowhere."""
    return [f"{name}.{one}" for name, one in references(text) if not has(CLASSES[name], one)]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_references(file: Path):
    """Each attribute of a public class that a page or a docstring names exists."""
    assert dead((ROOT / file).read_text(encoding="utf-8")) == []


def test_dead_reference():
    """A reference to an attribute that does not exist is found in each form."""
    forms = ":meth:`StoreURL.options`, ``StoreURL.nothing()``, `await Store.gone(…)`"
    assert dead(f"{forms}, `~fibonacci.plugin.Space.nil`, `Path.foo`, StoreURL.plain") == [
        "StoreURL.options",
        "StoreURL.nothing",
        "Store.gone",
        "Space.nil",
    ]


def test_live_reference():
    """A reference to a method, a property, a field or a class variable is not reported."""
    forms = "`Store.read`, `Space.text`, `StoreURL.query`, `Store.clock`, `StoreContract.url`"
    assert len(list(references(forms))) == 5
    assert dead(forms) == []
