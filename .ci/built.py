"""Checks the built wheels and source archives, in the environment with the wheels.

built.py CHECKOUT DIST
"""

import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

checkout, dist = Path(sys.argv[1]), Path(sys.argv[2])
licence = (checkout / "LICENSE").read_bytes()

for folder in [checkout / "core", *sorted(checkout.glob("plugins/*/"))]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"

    with zipfile.ZipFile(dist / f"{stem}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
        assert wheel.read(f"{stem}.dist-info/licenses/LICENSE") == licence, stem
    packages = {name.split("/")[0] for name in names} - {f"{stem}.dist-info"}
    packages -= {"fibonacci_pytest.py"}  # core's, outside its package: see its docstring
    assert len(packages) == 1, f"{stem} holds {packages}"
    assert f"{packages.pop()}/py.typed" in names, f"{stem} is not marked as typed"

    with tarfile.open(dist / f"{stem}.tar.gz") as sdist:
        tops = {Path(name).parts[1] for name in sdist.getnames()}
    assert tops <= {"src", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}, tops

    installed = metadata.distribution(project["name"])
    assert installed.version == project["version"]
    assert not Path(str(installed.locate_file(""))).is_relative_to(folder), "not the wheel"
    wanted = {
        (group, name, value)
        for group, points in project.get("entry-points", {}).items()
        for name, value in points.items()
    }
    assert {(e.group, e.name, e.value) for e in installed.entry_points} == wanted, stem
    for point in installed.entry_points:
        point.load()
    print(f"{stem}: ok ({len(names)} files)")

# Core's extras name the other distributions, with bounds that allow what was built.
extras = {"anthropic", "crypto", "dynamodb", "jinja", "llamacpp", "postgres", "redis", "sqlite"}
for wanted in map(Requirement, metadata.requires("fibonacci-core") or ()):
    marker = wanted.marker
    if not marker or marker.evaluate({"extra": ""}):
        continue
    for extra in [extra for extra in extras if marker.evaluate({"extra": extra})]:
        assert wanted.name == f"fibonacci-{extra}", wanted
        assert metadata.version(wanted.name) in wanted.specifier, wanted
        extras.remove(extra)
assert not extras, f"core has no extra for {extras}"
print("extras: ok")
