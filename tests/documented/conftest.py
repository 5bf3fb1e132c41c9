"""Fixtures: the pages, and the tools that read the source for them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pages() -> str:
    """All pages for users: docs/ and the READMEs."""
    files = [*ROOT.glob("docs/*.md"), ROOT / "README.md", *ROOT.glob("plugins/*/README.md")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="session")
def words(pages: str) -> set[str]:
    """Every name that appears on some page."""
    return set(re.findall(r"\w+", pages))
