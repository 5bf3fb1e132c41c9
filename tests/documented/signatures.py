"""The signatures that plugins rely on. To update: python tests/documented/signatures.py"""

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("signatures.txt")
sys.path.append(str(ROOT / "docs"))

from source import definition, fields, method, methods  # noqa: E402

from fibonacci import plugin  # noqa: E402
from fibonacci.plugin import hookspecs, runtime  # noqa: E402


def signatures() -> str:
    """Return the version of the specs, each hook, and each name that authors import."""
    lines = [f"SPEC_VERSION = {plugin.SPEC_VERSION}"]
    hooks = [one for one in vars(hookspecs).values() if hasattr(one, "fibonacci_spec")]
    named = [getattr(module, name) for module in (plugin, runtime) for name in module.__all__]
    for one in [*hooks, *named]:
        if inspect.isclass(one) or inspect.isfunction(one):
            lines += ["", *_class_or_function(one)]
    return "\n".join(lines) + "\n"


def _class_or_function(documented: object) -> Iterator[str]:
    tree = definition(documented)
    if not isinstance(tree, ast.ClassDef):
        yield method(tree).signature
        return
    yield f"class {tree.name}({', '.join(map(ast.unparse, tree.bases))})"
    for field in fields(tree):
        yield f"    {field.name}: {field.type} = {field.default or '(required)'}"
    for member in methods(tree):
        yield f"    {'@abstractmethod ' if member.required else ''}{member.signature}"


if __name__ == "__main__":
    SNAPSHOT.write_text(signatures(), encoding="utf-8")
