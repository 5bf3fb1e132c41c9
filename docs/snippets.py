"""A pytest plugin that runs the Python snippets of the Markdown pages: `tox run -e docs`.

The snippets of a page share their names, as a reader would expect. `await` may stand at the top.
On a page of `ON_REDIS`, the Redis at localhost is one of the farm's.
"""

import ast
import asyncio
import inspect
from pathlib import Path

from sybil import Example, Sybil
from sybil.parsers.markdown import ClearNamespaceParser, CodeBlockParser, SkipParser

ON_REDIS = ["docs/chat-history.md"]
LOCALHOST = "redis://localhost:6379/0"


def run(example: Example) -> None:
    lines_before = "\n" * (example.line + example.parsed.line_offset)
    source, flags = lines_before + example.parsed, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    if server := example.namespace.get("own_valkey"):
        source = source.replace(LOCALHOST, server.url)
    code = compile(source, example.path, "exec", flags, dont_inherit=True)
    running = eval(code, example.namespace)
    if inspect.iscoroutine(running):
        asyncio.run(running)


def pages(*patterns: str, excludes: list[str], fixtures: list[str]) -> Sybil:
    return Sybil(
        parsers=[CodeBlockParser("python", run), SkipParser(), ClearNamespaceParser()],
        path=str(Path(__file__).resolve().parents[1]),
        patterns=patterns,
        excludes=excludes,
        fixtures=fixtures,
    )


pytest_collect_file = (
    pages("*.md", excludes=ON_REDIS, fixtures=[])
    + pages(*ON_REDIS, excludes=[], fixtures=["own_valkey"])
).pytest()
