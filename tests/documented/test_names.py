"""The pages mention everything that users can name."""

import inspect
import re

import pytest

import fibonacci
from fibonacci import FunctionNode, LLMNode, MemoryConfig, MemoryManager, Retry, Workflow, plugin
from fibonacci._discovery.kinds import KINDS
from fibonacci._memory.environment import PREFIX
from fibonacci.plugin import runtime

from .conftest import ROOT

URLS = {
    "dynamodb": "dynamodb://eu-west-1",
    "postgres": "postgresql://localhost/db",
    "redis": "redis://localhost",
    "sqlite": "sqlite:///memory.db",
}


@pytest.mark.parametrize("of", [MemoryConfig, Workflow, LLMNode, FunctionNode, Retry])
def test_arguments(of: type, words: set[str]):
    """Each argument appears on a page."""
    arguments = set(inspect.signature(of).parameters)
    assert arguments
    assert arguments - words == set()


@pytest.mark.parametrize("of", [MemoryManager, Workflow])
def test_verbs(of: type, words: set[str]):
    """Each method appears on a page; of a pair such as get() and aget(), at least the first."""
    verbs = {name for name in dir(of) if not name.startswith("_")}
    twins = {verb for verb in verbs if verb[0] == "a" and verb[1:] in verbs}
    assert {"get", "append"} <= verbs or "execute" in verbs
    assert verbs - twins - words == set()


def test_face(words: set[str]):
    """Each name of `fibonacci` appears on a page, errors included."""
    assert "DecryptionError" in fibonacci.__all__
    assert set(fibonacci.__all__) - words == set()


def test_plugin_authors_names(words: set[str]):
    """Each name of `fibonacci.plugin` and of its module `runtime` appears on a page."""
    assert "Store" in plugin.__all__
    assert {*plugin.__all__, *runtime.__all__} - words == set()


def test_hooks(pages: str):
    """Each hook has a chapter that names its entry-point group."""
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        chapter = page.partition(f"## {kind.hook}\n")[2].partition("\n## ")[0]
        assert f"`fibonacci.{kind.name}`" in chapter


@pytest.mark.parametrize("backend", sorted(URLS))
def test_options(backend: str):
    """Each option of a backend appears in its README."""
    options = {"no_such_option": 1}
    config = MemoryConfig(backend=backend, connection_url=URLS[backend], options=options)
    with pytest.raises(fibonacci.ConfigurationError, match="It takes ") as caught:
        Workflow("w", config)
    names = str(caught.value).partition("It takes ")[2].rstrip(".").split(", ")
    readme = (ROOT / "plugins" / f"fibonacci-{backend}" / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf"\b{name}\b", readme)] == []


def test_environment_variables(pages: str):
    """Each environment variable that the source reads appears on a page."""
    found = {f"{PREFIX}BACKEND"}
    for file in [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]:
        found |= set(re.findall(r"\bFIBONACCI_[A-Z_]*[A-Z]\b", file.read_text(encoding="utf-8")))
    assert "FIBONACCI_BLOCK_PLUGINS" in found
    assert [name for name in sorted(found) if name not in pages] == []
