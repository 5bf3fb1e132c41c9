"""The model and the engine in the page for authors keep the contracts that the page shows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fibonacci import register_plugin

PAGE = Path(__file__).parents[2] / "docs" / "models-and-engines.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def page_names() -> dict[str, Any]:
    """Return the names that the page's snippets define, up to the contract of its engine."""
    names: dict[str, Any] = {"__name__": "parrot"}
    for snippet in SNIPPETS:
        exec(compile(snippet, str(PAGE), "exec"), names)
        if "TestBrackets" in names:
            return names
    raise LookupError("the page has no TestBrackets")


NAMES = page_names()


@pytest.fixture(scope="module", autouse=True)
def parrot() -> Iterator[None]:
    """The page's plugin."""
    with register_plugin("models", "parrot", NAMES["plugin"]):
        yield


class TestParrot(NAMES["TestParrot"]):
    """The page's model."""


class TestBrackets(NAMES["TestBrackets"]):
    """The page's engine."""
