"""Pages, source and error messages give one way to install."""

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


def other_install_commands(text: str) -> Iterator[str]:
    """Yield each command that installs one of our distributions in another way."""
    for command in re.findall(r"pip install [^`\n]*", text):
        for found in OURS.finditer(command.partition("--upgrade")[0]):
            extras = set((found["extras"] or "").split(",")) - {""}
            quoted = bool(found["quote"]) or not extras
            if found["name"] != "core" or not quoted or not extras <= EXTRAS.keys():
                yield command


def test_one_way_to_install():
    """All install commands for a plugin use an existing extra of the core, quoted."""
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in FILES}
    assert {
        file: found for file, text in texts.items() if (found := list(other_install_commands(text)))
    } == {}


@pytest.mark.parametrize(
    "command", ["fibonacci-redis", "fibonacci-core[redis]", "'fibonacci-core[x]'"]
)
def test_other_ways_are_found(command: str):
    """The check finds a plugin's own name, an unquoted extra, and an unknown one."""
    assert list(other_install_commands(f"`pip install {command}`")) == [f"pip install {command}"]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_each_plugin_says_how_it_is_installed(plugin: str):
    """Each plugin's README has the install command with its extra."""
    (extra,) = (name for name, needs in EXTRAS.items() if needs[0].startswith(f"{plugin}>"))
    readme = (ROOT / "plugins" / plugin / "README.md").read_text(encoding="utf-8")
    assert f"$ pip install 'fibonacci-core[{extra}]'\n" in readme


def test_the_core_names_each_extra():
    """The core's README has each extra."""
    readme = (ROOT / "core" / "README.md").read_text(encoding="utf-8")
    assert [name for name in EXTRAS if f"pip install 'fibonacci-core[{name}]'" not in readme] == []


@pytest.mark.parametrize("folder", PUBLISHED)
def test_published_readmes_have_no_relative_links(folder: str):
    """A README that is shown on a package index has no links relative to the repository."""
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)", text, flags=re.MULTILINE)
    found = ["".join(link) for link in links]
    assert [link for link in found if not link.startswith(("https://", "#"))] == []
