"""A fresh environment: wheels, the dependencies in their metadata, and nothing else.

No network: the dependencies that a wheel declares are symbolic links to those of the environment
that the tests run in; a dependency that a wheel does not declare is missing.
"""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from uv import find_uv_bin


def built(project: Path, into: Path) -> Path:
    """Build the project's wheel, and return its file."""
    _uv("build", "--wheel", "--no-build-isolation", "-p", sys.executable, "-o", into, project)
    (wheel,) = into.glob(f"{project_name(project).replace('-', '_')}-*.whl")
    return wheel


def project_name(project: Path) -> str:
    """Return the distribution's name."""
    return str(tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"])


class FreshEnvironment:
    """A virtual environment in a folder."""

    def __init__(self, folder: Path) -> None:
        """Create it, empty."""
        _uv("venv", "--no-project", "-p", sys.executable, folder)
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")

    def install(self, wheels: Mapping[Path, str]) -> None:
        """Install wheels, each with its extras ("[test]"); fail if a requirement is not met."""
        for name in sorted(_dependencies(wheels)):
            self._lend(metadata.distribution(name))
        files = [f"{wheel}{extras}" for wheel, extras in wheels.items()]
        _uv("pip", "install", "--no-index", "-p", self.python, *files)

    def start(self, *arguments: object, **how: Any) -> "subprocess.Popen[str]":
        """Start its Python; no variable and no user folder leads to this environment."""
        command = [str(self.python), "-I", *map(str, arguments)]
        return subprocess.Popen(command, stderr=subprocess.STDOUT, text=True, **how)

    def _lend(self, lender: metadata.Distribution) -> None:
        tops = {file.parts[0] for file in lender.files or () if ".." not in file.parts}
        for top in tops - {"__pycache__"}:
            there = Path(str(lender.locate_file(top)))
            if top.endswith(".dist-info"):  # uv ignores a symbolic link
                shutil.copytree(there, self.site / top)
            elif not (self.site / top).exists():  # a namespace may have been lent before
                (self.site / top).symlink_to(there)


def _dependencies(wheels: Mapping[Path, str]) -> set[str]:
    """Return the wheels' dependencies, transitively, without the wheels."""
    requirements = {
        _canonical(wheel.name.partition("-")[0]): _requirements(wheel) for wheel in wheels
    }
    ours = list(requirements)
    wanted = [Requirement(name + wheels[wheel]) for name, wheel in zip(ours, wheels, strict=True)]
    seen: set[tuple[str, str]] = set()
    while wanted:
        one = wanted.pop()
        name = _canonical(one.name)
        if name not in requirements:
            requirements[name] = metadata.requires(name) or []
        for extra in {"", *one.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                wanted.extend(_applying(requirements[name], extra))
    return requirements.keys() - set(ours)


def _applying(requirements: list[str], extra: str) -> Iterator[Requirement]:
    for requirement in map(Requirement, requirements):
        if not requirement.marker or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as files:
        (name,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(files.read(name)).get_all("Requires-Dist", [])


def _canonical(name: str) -> str:
    return name.replace("_", "-").lower()


def _uv(*arguments: object) -> None:
    command = [find_uv_bin(), *map(str, arguments), "-q", "--offline", "--no-config"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
