"""Writes the pages that repeat what the code says of itself, so that neither can go its own way.

python docs/make_pages.py            write the pages of PAGES below
python docs/make_pages.py --check    write nothing; say which of them is old, and fail
"""

import argparse
import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_type_hints

from reference_page import reference_parts
from source import (
    Field,
    assignment,
    definition,
    fields,
    markdown,
    method,
    methods,
    text_of,
    wrapped,
)

from fibonacci import errors, plugin
from fibonacci.plugin import hookspecs, runtime
from fibonacci.testing import CipherContract, EngineContract, ProviderContract, StoreContract

HERE: Final = Path(__file__).parent
NOTE: Final = "<!-- Made by docs/make_pages.py from the source: change it there. -->"
GROUPS: Final = {"fibonacci_model": "fibonacci.models"}
"""Entry-point groups that aren't named like their hook."""
CONTRACTS: Final = {
    "fibonacci_storage": (StoreContract, 'backend = "shelf"'),
    "fibonacci_encryption": (CipherContract, 'cipher = "box"'),
    "fibonacci_templating": (EngineContract, 'engine = "mustache"'),
    "fibonacci_model": (ProviderContract, 'model = "parrot:grey"'),
}
"""What holds the implementation of a hook to its word, and how it is told which."""


def hooks_page() -> str:
    """Return the page on hooks: each with what it is given, and what it returns."""
    told = {"SPEC_VERSION"}
    parts = ["# Hooks", NOTE, markdown(inspect.getdoc(hookspecs) or "")]
    parts.append(
        f"These specs are version {plugin.SPEC_VERSION} (`SPEC_VERSION`): a plugin says "
        f"`FIBONACCI_SPEC_VERSION = {plugin.SPEC_VERSION}`. How to write one, step by step: "
        f"[write a backend](write-a-backend.md), [models and engines](models-and-engines.md), "
        f"[encryption](encryption.md)."
    )
    for hook in _hooks():
        group = GROUPS.get(hook.__name__, hook.__name__.replace("_", ".", 1))
        tree = definition(hook)
        parts += [f"## {hook.__name__}", f"Entry-point group: `{group}`.", text_of(tree)]
        for one in get_type_hints(hook).values():
            parts += _family(one, told)
        parts += _contract(*CONTRACTS[hook.__name__])
    parts += ["## What else an author imports", "All of it from `fibonacci.plugin`."]
    for name in plugin.__all__:
        if name not in told:
            parts += _helper(plugin, name)
    parts += ["## fibonacci.plugin.runtime", markdown(inspect.getdoc(runtime) or "")]
    for name in runtime.__all__:
        parts += _helper(runtime, name)
    return _page(parts)


def errors_page() -> str:
    """Return the page on errors: the tree, and what each means."""
    introduction = markdown(inspect.getdoc(errors) or "")
    parts = ["# Errors", NOTE, introduction, "All of them can be imported from `fibonacci`."]
    for error in _errors():
        base = ", ".join(f"`{one.__name__}`" for one in error.__bases__)
        parts += [f"## {error.__name__}", f"Is a {base}.", text_of(definition(error))]
    return _page(parts)


def reference_page() -> str:
    """Return the page on what users import."""
    return _page(["# Reference", NOTE, *reference_parts()])


PAGES: Final = {"hooks.md": hooks_page, "errors.md": errors_page, "reference.md": reference_page}


def _hooks() -> Iterator[Any]:
    for one in vars(hookspecs).values():
        if hasattr(one, "fibonacci_spec"):
            yield one


def _errors() -> Iterator[type[BaseException]]:
    for one in vars(errors).values():
        if inspect.isclass(one) and issubclass(one, errors.FibonacciError):
            yield one


def _family(of: type, told: set[str]) -> Iterator[str]:
    """A class, and behind it those that its fields and methods speak of."""
    told.add(of.__name__)
    yield from _class(of)
    for name in _names(definition(of)):
        other = getattr(plugin, name, None)
        if name not in told and inspect.isclass(other):
            yield from _family(other, told)


def _names(tree: ast.AST) -> Iterator[str]:
    """The names that annotations hold; one that is quoted is a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _class(of: type) -> Iterator[str]:
    tree = definition(of)
    yield f"### {of.__name__}"
    yield text_of(tree)
    if not isinstance(tree, ast.ClassDef):
        raise TypeError(f"{of} is no class")
    if rows := list(fields(tree)):
        yield _table(rows)
    for one in methods(tree):
        if not one.text or one.text.startswith("See "):
            continue  # it is told where the other one is
        need = "" if one.required or not inspect.isabstract(of) else "Has a default. "
        yield f"```\n{wrapped(one.signature)}\n```"
        yield f"{need}{one.text}"


def _contract(contract: type, which: str) -> Iterator[str]:
    fixtures = next(one for one in contract.__mro__ if one.__name__ == "ContractFixtures")
    name = contract.__name__
    yield f"### {name}"
    yield text_of(definition(contract))
    example = f"from fibonacci.testing import {name}\n\n\nclass TestMine({name}):\n    {which}"
    yield f"```\n{example}\n```"
    rows = fields(definition(fixtures))
    yield _table(row for row in rows if row.name != "fibonacci_contract")


def _helper(module: ModuleType, name: str) -> Iterable[str]:
    one = getattr(module, name)
    if inspect.isclass(one):
        return _class(one)
    if inspect.isfunction(one):
        tree = definition(one)
        if not isinstance(tree, ast.ClassDef):
            told = method(tree)
            return [f"### {name}", f"```\n{wrapped(told.signature)}\n```", told.text]
    return [f"### {name}", _text_below(name)]


def _text_below(name: str) -> str:
    """The text of a name that is no class and no function: what stands below where it is set."""
    for module in [one for key, one in sys.modules.items() if key.startswith("fibonacci.plugin.")]:
        with suppress(LookupError):
            return assignment(name, module)[1]
    raise LookupError(f"fibonacci.plugin.{name} has no text below it in the source")


def _table(rows: Iterable[Field]) -> str:
    lines = ["| field | type | default | what |", "|---|---|---|---|"]
    for row in rows:
        text = " ".join(row.text.split())
        default = f"`{row.default}`" if row.default else ""
        shown = row.type.replace("|", "\\|")
        lines.append(f"| `{row.name}` | `{shown}` | {default} | {text} |")
    return "\n".join(lines)


def _page(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def main() -> int:
    """Write the pages, or check them; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the pages that repeat the source.")
    parser.add_argument("--check", action="store_true", help="write nothing")
    check: bool = parser.parse_args().check
    old = [name for name, make in PAGES.items() if _differs(HERE / name, make())]
    if check:
        for name in old:
            told = f"docs/{name} is not what the source says: run python docs/make_pages.py"
            sys.stderr.write(f"{told}\n")
        return len(old)
    for name in old:
        (HERE / name).write_text(PAGES[name](), encoding="utf-8")
    return 0


def _differs(page: Path, text: str) -> bool:
    return not page.exists() or page.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main())
