"""The suite finds each of these defects, and by the clause that it breaks."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from broken import BROKEN, BROKEN_ASYNC

from fibonacci.testing import StoreContract
from fibonacci.testing.plugin import clauses_of

SUITE = Path(__file__).with_name("suite_of_broken.py")
PROCESSES = 4  # they sleep half of the time
HISTORIES = ["FoldsCase", "WriteKeepsExpiry", "ListsUnsorted", "CountsAllRemoved"]


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The names of the tests that failed, by store."""
    names = [*BROKEN, *BROKEN_ASYNC, "MinimalStore"]
    files = [tmp_path_factory.mktemp("suite") / f"{share}.xml" for share in range(PROCESSES)]
    runs = [
        start(file, names[share::PROCESSES], HISTORIES[share::PROCESSES])
        for share, file in enumerate(files)
    ]
    for run in runs:
        told, _ = run.communicate()
        assert run.returncode in (0, 1), told
    failed = {}
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            _, _, name = case.attrib["classname"].rpartition(".Test")
            tests = failed.setdefault(name, set())
            if case.find("failure") is not None or case.find("error") is not None:
                tests.add(case.attrib["name"].partition("[")[0])
    return failed


def start(file, names, histories):
    """Run the suite on some stores in a process of its own."""
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-c", os.devnull]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", SUITE, *options, f"--junitxml={file}"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(SUITE.parent), *sys.path]),
            "BROKEN_STORES": ",".join(names),
            "BROKEN_HISTORIES": ",".join(histories),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("name", [*BROKEN, *BROKEN_ASYNC])
def test_defect_is_found(failed, record_testsuite_property, name):
    """A store with one defect fails, by a test of the clause that it breaks."""
    store = {**BROKEN, **BROKEN_ASYNC}[name]
    clauses = {
        clause for test in failed[name] for clause in clauses_of(getattr(StoreContract, test))
    }
    record_testsuite_property(name, " ".join([*sorted(clauses), "by", *sorted(failed[name])]))
    assert store.clause in clauses


@pytest.mark.parametrize("name", HISTORIES)
def test_histories_find_defects(failed, name):
    """The comparison with a dict finds defects, too."""
    assert failed[f"History{name}"] == {"test_any_history"}


def test_sound_store_passes(failed):
    """The store that the broken ones are made of has no failure in the same run."""
    assert failed["MinimalStore"] == set()
