"""The generated pages match the source."""

import re
import subprocess
import sys

import fibonacci
from fibonacci import plugin, testing
from fibonacci._discovery.kinds import KINDS

from .conftest import ROOT


def test_generated_pages():
    """docs/hooks.md, docs/errors.md and docs/reference.md are as docs/make_pages.py makes them."""
    command = [sys.executable, ROOT / "docs" / "make_pages.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_reference_has_each_name():
    """docs/reference.md has a heading for each name of `fibonacci` that is no error."""
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    names = set(fibonacci.__all__) - {name for name in fibonacci.__all__ if name.endswith("Error")}
    assert "LLMNode" in names
    assert names - set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == set()


def test_reference_has_each_operation():
    """docs/reference.md has a heading for each method of a memory, but not for async forms."""
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (?:MemoryManager\.)?(\w+)$", page, re.MULTILINE)
    methods = {name for name in dir(fibonacci.MemoryManager) if not name.startswith("_")}
    async_forms = {name for name in methods if name[0] == "a" and name[1:] in methods}
    assert methods - async_forms - set(headings) == set()


def test_each_field_is_documented():
    """Each field that core passes or accepts is documented, and each attribute of a contract."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, text in rows if not text.strip()] == []


def test_each_hook_has_its_contract():
    """Each hook's chapter shows its contract, and all contracts are shown."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    shown = []
    for kind in KINDS.values():
        chapter = page.partition(f"## {kind.hook}\n")[2].partition("\n## ")[0]
        shown += re.findall(r"^### (\w+Contract)$", chapter, re.MULTILINE)
    assert len(shown) == len(KINDS)
    assert sorted(shown) == sorted(one for one in testing.__all__ if one.endswith("Contract"))


def test_properties_are_marked():
    """A property such as `Space.text` is shown as one: calling it would be a TypeError."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    chapter = page.partition("### Space\n")[2].partition("\n### ")[0]
    assert isinstance(plugin.Space.text, property)
    assert "@property\ndef text(self) -> str" in chapter
