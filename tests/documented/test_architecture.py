"""The page on the architecture names every module of core but testing, and nothing that is gone."""

import re
from collections import Counter

from .conftest import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`\n]+)`", PAGE)
CORE = ROOT / "core" / "src" / "fibonacci"
SOURCES = sorted([*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
TESTS = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")])
MODULES = [
    path
    for path in CORE.rglob("*.py")
    if path.name != "__init__.py" and "testing" not in path.parts
]


def test_modules_are_on_the_page():
    """The tables of core name each module except those of testing, several of one name too."""
    tables = PAGE.partition("### Core\n")[2].partition("### Plugins\n")[0]
    cells = re.findall(r"^\| (`.+?) \|", tables, re.MULTILINE)
    named = re.findall(r"`(?:\w+/)*(\w+)`", " ".join(cells))
    assert Counter(path.stem for path in MODULES) - Counter(named) == Counter()


def test_files_on_the_page_exist():
    """Each file that the page names in backquotes exists."""
    named = set(filter(is_file, CODE))
    folders = ("core", "docs", "plugins", "tests")
    found = [
        *ROOT.glob("*.*"),
        *(path for folder in folders for path in ROOT.glob(f"{folder}/**/*")),
    ]
    files = [path.as_posix() for path in found]
    assert [name for name in sorted(named) if not any(f.endswith(f"/{name}") for f in files)] == []


def test_names_on_the_page_exist():
    """Each name that the page has in backquotes is in the source, in the tests, or a module."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in [*SOURCES, *TESTS])
    words = set(re.findall(r"\w+", source)) | {path.stem for path in [*SOURCES, *TESTS]}
    code = [text for text in CODE if not is_file(text)]
    calls = (re.fullmatch(r"([A-Za-z_][\w.]*)(\(.*\))?", text) for text in code)
    names = {name for call in calls if call for name in call[1].split(".")}
    assert sorted(names - words) == []


def is_file(code: str) -> bool:
    """Whether a text in backquotes is the path of a file."""
    return re.fullmatch(r"[\w./-]+\.(py|md|toml)", code) is not None
