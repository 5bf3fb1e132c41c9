"""Reads classes, their fields and methods, and their docstrings from the source."""

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from inspect import cleandoc
from itertools import pairwise
from types import ModuleType
from typing import Any, Final, TypeAlias

import attrs

LINE: Final = 96
MARKS: Final = ("property", "classmethod", "staticmethod")
"""Decorators that change how a method is called, so the signature shows them."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen(kw_only=True)
class Field:
    """An attribute that a class declares."""

    name: str
    type: str
    default: str
    """As written in the source; "" if there is none."""
    text: str


@attrs.frozen(kw_only=True)
class Method:
    """A public method or function."""

    name: str
    signature: str
    """On one line, after the decorators of ``MARKS``, if any, on lines before it."""
    required: bool
    """Whether it is abstract."""
    text: str


def definition(of: Any) -> ast.ClassDef | Function:
    """Return the syntax tree of a class or a function at module level.

    Of a function with overloads, the last definition is returned: it has the docstring.
    """
    module = sys.modules[of.__module__]
    return next(
        node
        for node in reversed(_tree(module).body)
        if isinstance(node, ast.ClassDef | Function) and node.name == of.__name__
    )


def fields(of: ast.ClassDef) -> Iterator[Field]:
    """Yield the public attributes, each with the text below it."""
    for node, below in zip(of.body, [*of.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if not node.target.id.startswith("_"):
            yield Field(
                name=node.target.id,
                type=ast.unparse(node.annotation),
                default=_default(node.value),
                text=text_below(below),
            )


def methods(of: ast.ClassDef) -> Iterator[Method]:
    """Yield the public methods, in the order of the source."""
    for node in of.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield method(node)


def method(of: Function) -> Method:
    """Return the signature and the docstring of a function."""
    marks = {ast.unparse(mark) for mark in of.decorator_list}
    return Method(
        name=of.name,
        signature=_signature(of),
        required="abstractmethod" in marks,
        text=text_of(of),
    )


def text_of(of: ast.ClassDef | Function) -> str:
    """Return the docstring as Markdown."""
    return markdown(ast.get_docstring(of) or "")


def markdown(text: str) -> str:
    """Return a docstring as Markdown: roles and literals as code, examples in fences, lists."""
    text = re.sub(r":\w+:`~[\w.]+\.(\w+)`", r"`\1`", text)
    text = re.sub(r":\w+:`([\w.]+)`", r"`\1`", text)
    text = re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)
    text = re.sub(r"^(Args|Attributes):\n((?: {4}.*\n?)+)", _listed, text, flags=re.MULTILINE)
    return re.sub(r"(^|(?<=\n))?::\n\n((?: {4}.*\n?|\n)+)", _fenced, text)


def _listed(section: re.Match[str]) -> str:
    """A section of a docstring as a list of the names it describes."""
    title = {"Args": "Arguments"}.get(section[1], section[1])
    items = re.sub(r"^(\*?\w+): ", r"- `\1`: ", textwrap.dedent(section[2]), flags=re.MULTILINE)
    items = re.sub(r'(?<![`=])"([^"\s`]+)"(?!`)', r'`"\1"`', items)
    return f"{title}:\n\n{re.sub(r'^ {4}', '  ', items, flags=re.MULTILINE)}"


def _fenced(example: re.Match[str]) -> str:
    colon = "" if example[1] is not None else ":\n\n"  # "::" may be on a separate line
    return f"{colon}```\n{textwrap.dedent(example[2]).strip()}\n```\n\n"


def _tree(module: ModuleType) -> ast.Module:
    if module.__file__ is None:
        raise LookupError(f"{module.__name__} has no source")
    with open(module.__file__, encoding="utf-8") as source:
        return ast.parse(source.read())


def _default(value: ast.expr | None) -> str:
    """Return the default as written; of ``attrs.field(default=...)``, the argument."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "attrs.field":
        arguments = {keyword.arg: keyword.value for keyword in value.keywords}
        if "factory" in arguments:
            return f"{ast.unparse(arguments['factory'])}()"
        return _default(arguments.get("default"))
    return "" if value is None else ast.unparse(value)


def text_below(node: ast.stmt | None) -> str:
    """Return the text below an assignment, as Markdown; "" if there is none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return markdown(cleandoc(str(node.value.value)))
    return ""


def assignment(name: str, module: ModuleType) -> tuple[str, str]:
    """Return the value that a module gives to a name, as written, and the text below it.

    Raises LookupError if it is not there, or has no text.
    """
    body = _tree(module).body
    for node, below in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", 0)]
        is_it = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if is_it and (text := text_below(below)):
            return ast.unparse(getattr(node, "value", node)), text
    raise LookupError(f"{module.__name__}.{name} has no text below it in the source")


def _signature(of: Function) -> str:
    kind = "async def" if isinstance(of, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(of.returns)}" if of.returns is not None else ""
    marks = [f"@{mark}\n" for mark in map(ast.unparse, of.decorator_list) if mark in MARKS]
    return f"{''.join(marks)}{kind} {of.name}({ast.unparse(of.args)}){returns}"


def wrapped(signature: str, width: int = LINE) -> str:
    """Return a signature as code; a long one has one argument per line."""
    if len(signature) <= width:
        return signature
    start, end = signature.index("("), signature.rindex(")", 0, signature.rindex("->"))
    arguments = ",\n    ".join(_split_arguments(signature[start + 1 : end]))
    return f"{signature[: start + 1]}\n    {arguments},\n{signature[end:]}"


def _split_arguments(arguments: str) -> list[str]:
    """Split at the commas that are not within brackets."""
    depth, parts = 0, [""]
    for character in arguments:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
