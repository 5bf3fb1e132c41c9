"""A pytest plugin that runs the Python snippets of the Markdown pages: `tox run -e docs`.

All snippets of a page share one namespace. `await` works outside a function.
On the pages of `ON_REDIS`, the Redis at localhost is replaced by one that the tests start.
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
    # Blank lines first, so that tracebacks show the line of the page.
    blank_lines = "\n" * (example.line + example.parsed.line_offset)
    source, flags = blank_lines + example.parsed, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    if server := example.namespace.get("own_valkey"):
        source = source.replace(LOCALHOST, server.url)
    code = compile(source, example.path, "exec", flags, dont_inherit=True)
    result = eval(code, example.namespace)
    if inspect.iscoroutine(result):
        asyncio.run(result)


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
