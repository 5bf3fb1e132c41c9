"""The page for authors says what the code does."""

import re
from pathlib import Path

import pytest

from fibonacci import errors, plugin
from fibonacci.plugin import AsyncStore, Store, VersionedStore
from fibonacci.testing import StoreContract
from fibonacci.testing.report import CLAUSES, cited_clauses

PAGE = Path(__file__).parents[2] / "docs" / "write-a-backend.md"
TEXT = PAGE.read_text("utf-8")


def section(title):
    return re.split(r"^## ", TEXT.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def first_cells(title):
    return re.findall(r"^\| `(\w+)(?:\(.*?\))?` \|", section(title), re.MULTILINE)


def test_clauses():
    """The page lists the clauses that the suite judges a store by, in the suite's own words."""
    judged = {
        clause
        for part in StoreContract.__mro__
        for name, test in vars(part).items()
        if name.startswith("test_")
        for clause in cited_clauses(test)
    }
    told = re.findall(r"^\| (C\d+) \| (.+?) \|", section("The contract"), re.MULTILINE)
    assert told == [(clause, words) for clause, words in CLAUSES.items() if clause in judged]


def test_methods():
    """The page lists the methods that a store must write, all of them."""
    assert set(first_cells("The methods")) == Store.__abstractmethods__
    assert set(first_cells("Servers with versions")) == VersionedStore.__abstractmethods__ - {
        "scan",
        "close",
    }


def test_defaults():
    """The page names the methods that have a default, and no other."""
    methods = section("The methods")
    named = re.search(r"^((?:`\w+`,? (?:and )?)+`\w+`) have defaults", methods, re.MULTILINE)
    assert named
    hidden = {"pause", "clock", "retry_transient_errors"}
    public = {name for name in vars(AsyncStore) if not name.startswith("_")} - hidden
    assert set(re.findall(r"\w+", named[1])) - {"and"} == public - Store.__abstractmethods__


def test_errors():
    """Each error that a store may raise is on the page, and each one on the page is in the tree."""
    told = first_cells("Errors to raise")
    kinds = errors.StorageError.__subclasses__()
    ours = {kind.__name__ for kind in kinds if kind.__module__ == errors.__name__}
    storage = {"StorageError", *ours}
    assert set(told) == storage | {"ConfigurationError"}


def test_version():
    """The version of the hook specs on the page is the one that core speaks."""
    assert set(re.findall(r"FIBONACCI_SPEC_VERSION ?= ?(\d+)", TEXT)) == {str(plugin.SPEC_VERSION)}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", TEXT))))
def test_links(link):
    """What the page links to is there."""
    assert (PAGE.parent / link).exists()
