"""The backends of the page for authors, installed and tested as a third party would.

Built as a wheel, installed into a fresh environment with what its metadata asks for, found there,
and put to its own tests: for the page's the five lines that the page shows. The page's is there in
every run; the longer examples and a new backend's template, of the same kind, with --long.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fresh import FreshEnvironment, built
from modes import MODES
from services import mariadb

from fibonacci.testing.__main__ import main

pytestmark = pytest.mark.bare  # slow: it runs beside the measured tests

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "write-a-backend.md"
EXAMPLES = {path.name: path for path in (ROOT / "examples" / "backends").glob("*/")}
SHELF = "fibonacci-shelf"
MARIADB = "fibonacci-mariadb"
NEW = "fibonacci-drawer"
LONG = [pytest.param(name, marks=pytest.mark.long) for name in [*sorted(EXAMPLES), NEW]]

# A name in backquotes at the end of a paragraph, and a block of code after it.
FILE = re.compile(r"`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WHO_IS_THERE = """
import importlib, json, sys
import fibonacci
found = [(one.kind, one.name, one.version, one.state)
         for one in fibonacci.plugins() if one.distribution == sys.argv[1]]
module = importlib.import_module(sys.argv[1].replace("-", "_"))
print(json.dumps([found, fibonacci.__file__, module.__file__]))
"""

VERDICTS = {
    MODES: r"^StoreContract \w+: \d+ passed, 0 failed, \d+ not applicable: keeps the contract",
    ("mixed",): r"^StoreContract \w+: \d+ passed.* of \d+ tests: part of the contract$",
}
"""The last line of a report, by the modes that ran."""


def written_out(folder):
    """Write the page's files into a folder, as a reader does."""
    for name, source in FILE.findall(PAGE.read_text("utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


class Installed:
    """A distribution in a fresh environment, with its tests running."""

    def __init__(self, project, core, folder, modes):
        self.environment = FreshEnvironment(folder / "environment")
        self.environment.install({core: "", built(project, folder / "dist"): "[test]"})
        self.cases, self.log = folder / "tests.xml", folder / "log"
        with self.log.open("w") as log:
            self.tests = self.environment.start(
                *("-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
                *(
                    "--rootdir",
                    project,
                    "--confcutdir",
                    project,
                    "--fibonacci-report",
                    f"--junitxml={self.cases}",
                ),
                *([] if modes == MODES else ["-k", "not sync"]),  # nor async
                project / "tests",
                cwd=folder,
                stdout=log,
            )


@pytest.fixture(scope="module")
def modes(pytestconfig):
    """Return the modes in which its tests run: mixed; all of them with --long."""
    return MODES if pytestconfig.getoption("--long") else ("mixed",)


@pytest.fixture(scope="module")
def installed(tmp_path_factory, modes):
    """All distributions; their tests run at the same time, as they mostly wait for expiries."""
    folder = tmp_path_factory.mktemp("authors")
    core = built(ROOT / "core", folder)
    projects = {SHELF: written_out(folder / SHELF)}
    if modes == MODES:  # with --long
        projects |= EXAMPLES
        main(["new", "drawer", str(folder / NEW)])
        projects[NEW] = folder / NEW
    if not shutil.which("mariadbd"):
        projects.pop(MARIADB, None)
    started = {}
    try:
        for name, project in projects.items():
            started[name] = Installed(project, core, tmp_path_factory.mktemp(name), modes)
        yield started
    finally:
        for one in started.values():
            one.tests.kill()
            one.tests.wait()


@pytest.fixture
def name(request):
    """A distribution whose server this machine has."""
    if request.param == MARIADB:
        mariadb.binary()
    return request.param


@pytest.mark.parametrize("name", [SHELF, *LONG], indirect=True)
def test_found(installed, name):
    """The environment finds the backend by its entry point, in the wheel, not in the sources."""
    environment = installed[name].environment
    asked = environment.start("-c", WHO_IS_THERE, name, stdout=subprocess.PIPE)
    found, core, module = json.loads(asked.communicate()[0])
    assert found == [["storage", name.removeprefix("fibonacci-"), "0.1.0", "available"]]
    assert Path(core).is_relative_to(environment.site)
    assert Path(module).is_relative_to(environment.site)


@pytest.mark.parametrize("name", [SHELF, *LONG], indirect=True)
def test_keeps_the_contract(installed, modes, name):
    """Each distribution's tests pass in its environment, including the contract's."""
    one = installed[name]
    code, log = one.tests.wait(), one.log.read_text()
    assert code == 0, log
    assert re.search(VERDICTS[modes], log, re.MULTILINE)
    cases = [case.attrib["name"] for case in ElementTree.parse(one.cases).iter("testcase")]
    for mode in modes:
        assert sum(f"[{mode}" in case for case in cases) > 120
