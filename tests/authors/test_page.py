"""The page for authors matches the code."""

import re
from pathlib import Path

import pytest

from fibonacci import errors, plugin
from fibonacci.plugin import AsyncStore, Store, VersionedStore
from fibonacci.testing import StoreContract
from fibonacci.testing.clauses import CLAUSES, cited_clauses

PAGE = Path(__file__).parents[2] / "docs" / "write-a-backend.md"
TEXT = PAGE.read_text("utf-8")


def section(title):
    return re.split(r"^## ", TEXT.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def first_cells(title):
    return re.findall(r"^\| `(\w+)(?:\(.*?\))?` \|", section(title), re.MULTILINE)


def test_clauses():
    """The page lists the clauses that the suite tests a store by, in the suite's words."""
    judged = {
        clause
        for part in StoreContract.__mro__
        for name, test in vars(part).items()
        if name.startswith("test_")
        for clause in cited_clauses(test)
    }
    listed = re.findall(r"^\| (C\d+) \| (.+?) \|", section("The contract"), re.MULTILINE)
    assert listed == [(clause, words) for clause, words in CLAUSES.items() if clause in judged]


def test_methods():
    """The page lists exactly the methods that a store must implement."""
    assert set(first_cells("The methods")) == Store.__abstractmethods__
    assert set(first_cells("Servers with versions")) == VersionedStore.__abstractmethods__ - {
        "scan",
        "close",
    }


def test_defaults():
    """The page names exactly the methods that have a default."""
    methods = section("The methods")
    named = re.search(r"^((?:`\w+`,? (?:and )?)+`\w+`) have defaults", methods, re.MULTILINE)
    assert named
    hidden = {"pause", "clock", "retry_transient_errors"}
    public = {name for name in vars(AsyncStore) if not name.startswith("_")} - hidden
    assert set(re.findall(r"\w+", named[1])) - {"and"} == public - Store.__abstractmethods__


def test_errors():
    """The page lists exactly the errors that a store may raise."""
    listed = first_cells("Errors to raise")
    kinds = errors.StorageError.__subclasses__()
    ours = {kind.__name__ for kind in kinds if kind.__module__ == errors.__name__}
    storage = {"StorageError", *ours}
    assert set(listed) == storage | {"ConfigurationError"}


def test_version():
    """The version of the hook specs on the page is core's."""
    assert set(re.findall(r"FIBONACCI_SPEC_VERSION ?= ?(\d+)", TEXT)) == {str(plugin.SPEC_VERSION)}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", TEXT))))
def test_links(link):
    """The page's links have targets."""
    assert (PAGE.parent / link).exists()
