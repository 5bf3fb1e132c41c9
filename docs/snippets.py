"""A pytest plugin that runs the Python snippets of the Markdown pages: `tox run -e docs`.

The snippets of a page share their names, as a reader would expect. `await` may stand at the top.
"""

import ast
import asyncio
import inspect
from pathlib import Path

from sybil import Example, Sybil
from sybil.parsers.markdown import ClearNamespaceParser, CodeBlockParser, SkipParser


def run(example: Example) -> None:
    lines_before = "\n" * (example.line + example.parsed.line_offset)
    source, flags = lines_before + example.parsed, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, example.path, "exec", flags, dont_inherit=True)
    running = eval(code, example.namespace)
    if inspect.iscoroutine(running):
        asyncio.run(running)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", run), SkipParser(), ClearNamespaceParser()],
    path=str(Path(__file__).resolve().parents[1]),
    patterns=["*.md"],
).pytest()
