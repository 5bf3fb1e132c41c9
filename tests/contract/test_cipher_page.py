"""The cipher in the page on encryption keeps the contract that the page shows."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fibonacci import register_plugin
from fibonacci.testing import CipherContract

PAGE = Path(__file__).parents[2] / "docs" / "encryption.md"


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The plugin ``box``, from the page's snippet."""
    names: dict[str, Any] = {"__name__": "box"}
    (snippet,) = [
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        if "class Box" in text
    ]
    exec(compile(snippet, str(PAGE), "exec"), names)
    with register_plugin("encryption", "box", SimpleNamespace(**names)):
        yield


class TestBox(CipherContract):
    """Two lines, and this one."""

    cipher = "box"
