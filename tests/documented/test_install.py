"""How to install is said in one way everywhere: on the pages, in the source, and in errors."""

import re
import tomllib
from collections.abc import Iterator

import pytest

from .conftest import ROOT

CORE = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = CORE["project"]["optional-dependencies"]
PLUGINS = sorted(path.name for path in ROOT.glob("plugins/*") if path.is_dir())
PUBLISHED = sorted(("core", *(f"plugins/{name}" for name in PLUGINS)))
FILES = sorted(
    file
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "core/*.md",
        "core/src/**/*.py",
        "plugins/*/*.md",
        "plugins/*/src/**/*.py",
        "examples/**/*.md",
        "examples/*.py",
    )
    for file in ROOT.glob(pattern)
)
OURS = re.compile(r"(?P<quote>'?)(?<![\w/])fibonacci-(?P<name>\w+)(?:\[(?P<extras>[\w,]+)\])?")


def faults(text: str) -> Iterator[str]:
    """Yield each command that installs something of ours otherwise."""
    for command in re.findall(r"pip install [^`\n]*", text):
        for found in OURS.finditer(command.partition("--upgrade")[0]):
            extras = set((found["extras"] or "").split(",")) - {""}
            quoted = bool(found["quote"]) or not extras
            if found["name"] != "core" or not quoted or not extras <= EXTRAS.keys():
                yield command


def test_one_way_to_install():
    """Who needs a plugin is told an extra of the core that there is, in quotes."""
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
    assert {file: told for file, text in texts.items() if (told := list(faults(text)))} == {}


@pytest.mark.parametrize(
    "command", ["fibonacci-redis", "fibonacci-core[redis]", "'fibonacci-core[x]'"]
)
def test_another_way_is_found(command: str):
    """A plugin by its own name, an extra without quotes, and one that is none are found."""
    assert list(faults(f"`pip install {command}`")) == [f"pip install {command}"]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_each_plugin_says_how_it_is_installed(plugin: str):
    """The README of a plugin has the command with its extra."""
    (extra,) = (name for name, needs in EXTRAS.items() if needs[0].startswith(f"{plugin}>"))
    readme = (ROOT / "plugins" / plugin / "README.md").read_text(encoding="utf-8")
    assert f"$ pip install 'fibonacci-core[{extra}]'\n" in readme


def test_the_core_names_each_extra():
    """The README of the core has each extra."""
    readme = (ROOT / "core" / "README.md").read_text(encoding="utf-8")
    assert [name for name in EXTRAS if f"pip install 'fibonacci-core[{name}]'" not in readme] == []


@pytest.mark.parametrize("folder", PUBLISHED)
def test_links_of_what_is_published(folder: str):
    """A README that is shown away from the repository links to nothing in it."""
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)", text, flags=re.MULTILINE)
    found = ["".join(link) for link in links]
    assert [link for link in found if not link.startswith(("https://", "#"))] == []
