"""Writes a new backend's distribution, which passes the contract before its author starts."""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from fibonacci import plugins
from fibonacci.errors import InvalidArgumentError

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,30}")

_FILES: Final[Mapping[str, str]] = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "src/fibonacci_@name@/__init__.py": "init.py.txt",
    "src/fibonacci_@name@/store.py": "store.py.txt",
    "src/fibonacci_@name@/py.typed": "",
    "tests/test_contract.py": "test_contract.py.txt",
    ".github/workflows/test.yml": "test.yml.txt",
}
"""What is written, and from which template; those are ``.txt``, as no tool should run them."""


def create_backend(name: str, folder: Path) -> None:
    """Write the distribution ``fibonacci-<name>`` into a new folder.

    Raises InvalidArgumentError if the name is not one, an installed backend has it, or the folder
    exists; OSError if it can't be written.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"{name!r} is no name of a backend: write up to 31 lower-case letters and digits, "
            f"a letter first, such as mariadb"
        )
    for plugin in plugins():
        if (plugin.kind, plugin.name) == ("storage", name):
            owner = plugin.distribution or "fibonacci-core"
            raise InvalidArgumentError(f"{name!r} is a backend of {owner}: choose another name")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise InvalidArgumentError(f"{folder} exists: name a folder that does not") from None
    for target, template in _FILES.items():
        path = folder / _fill(target, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(_read(template), name), "utf-8")


def _read(template: str) -> str:
    """Return the text of a template; no name is an empty file."""
    folder = files("fibonacci.testing") / "template"
    return (folder / template).read_text("utf-8") if template else ""


def _fill(text: str, name: str) -> str:
    return text.replace("@name@", name).replace("@Name@", name.capitalize())
