"""The backend of the page for authors keeps the contract that the page promises."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fibonacci import register_plugin
from fibonacci.testing import StoreContract

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


@pytest.fixture(scope="module", autouse=True)
def shelf() -> Iterator[None]:
    """The plugin ``shelf``, made of the page's own first snippets."""
    names: dict[str, Any] = {"__name__": "shelf"}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[:2]:
        exec(compile(snippet, str(PAGE), "exec"), names)
    with register_plugin("storage", "shelf", SimpleNamespace(**names)):
        yield


class TestShelf(StoreContract):
    """Five lines."""

    backend = "shelf"
    url = "shelf://here"
