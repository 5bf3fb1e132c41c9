"""The pages that are made from the source are what the source says."""

import re
import subprocess
import sys

from fibonacci import plugin, testing
from fibonacci._discovery.kinds import KINDS

from .conftest import ROOT


def test_made_pages():
    """docs/hooks.md and docs/errors.md are as docs/make_pages.py makes them."""
    command = [sys.executable, ROOT / "docs" / "make_pages.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_each_field_is_told():
    """Each field of what core hands over or takes has a text, and so has what contracts ask for."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, text in rows if not text.strip()] == []


def test_each_hook_has_its_contract():
    """Each hook's chapter shows the contract for it, and all contracts are shown."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    shown = []
    for kind in KINDS.values():
        chapter = page.partition(f"## {kind.hook}\n")[2].partition("\n## ")[0]
        shown += re.findall(r"^### (\w+Contract)$", chapter, re.MULTILINE)
    assert len(shown) == len(KINDS)
    assert sorted(shown) == sorted(one for one in testing.__all__ if one.endswith("Contract"))


def test_properties_are_told_from_methods():
    """Who reads of `Space.text` sees that it is no method: calling it would be a TypeError."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    chapter = page.partition("### Space\n")[2].partition("\n### ")[0]
    assert isinstance(plugin.Space.text, property)
    assert "@property\ndef text(self) -> str" in chapter
