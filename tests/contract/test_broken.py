"""The suites for authors find each planted defect, by the test or the clause for it."""

import os
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import suite_of_broken_ciphers
import suite_of_broken_engines
import suite_of_broken_models
import suite_of_broken_remotes
import suite_of_broken_stores

from fibonacci.testing import CipherContract, ProviderContract, StoreContract

SUITES = {
    suite.__name__.rpartition("_")[2]: suite
    for suite in (
        suite_of_broken_ciphers,
        suite_of_broken_engines,
        suite_of_broken_models,
        suite_of_broken_remotes,
        suite_of_broken_stores,
    )
}
HANG_OPTIONS = [
    *("-o", "faulthandler_timeout=100", "-o", "faulthandler_exit_on_timeout=true"),
    "--max-worker-restart=0",
]
"""A test that hangs ends its run, and earlier than tox.ini would end the run of these tests."""

DEFECTS = [(kind, name) for kind, suite in SUITES.items() for name in suite.DEFECTS]
SOUND = [(kind, name) for kind, suite in SUITES.items() for name in suite.SOUND]


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """Runs one kind of suite, the first time that it is asked for, as authors run it."""
    return cache(lambda kind: run_suite(kind, tmp_path_factory.mktemp(kind) / "report.xml"))


@pytest.fixture
def failed(run_once, kind):
    """The tests that failed in a suite of this kind, by class."""
    return run_once(kind)


def run_suite(kind, report):
    folder = Path(__file__).parent
    # Half of the time they wait for an expiry or a deadline. In CI, failures are shown whole, which
    # takes longer.
    options = ["-n", "2", "--dist", "loadscope", "-q", "--tb=line", "-p", "no:cacheprovider"]
    options += ["-c", os.devnull, f"--junitxml={report}", *HANG_OPTIONS]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, folder / f"{SUITES[kind].__name__}.py"],
        env={**os.environ, "CI": "true", "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    # The last line says why a run broke off.
    *_, last = ["", *run.stdout.splitlines()]
    assert run.returncode == 1, f"exit status {run.returncode}: {last}\n{run.stdout}{run.stderr}"
    failed = defaultdict(set)
    for case in ElementTree.parse(report).iter("testcase"):
        tests = failed[case.attrib["classname"].rpartition(".Test")[2]]
        assert case.find("error") is None, case.attrib
        if case.find("failure") is not None:
            tests.add(case.attrib["name"].partition("[")[0])
    return failed


@pytest.mark.parametrize(("kind", "name"), DEFECTS)
def test_defect_is_found(failed, record_testsuite_property, kind, name):
    """A plugin with one defect fails each test that is for it."""
    record_testsuite_property(f"{kind} {name}", " ".join(sorted(failed[name])))
    assert failed[name] >= set(SUITES[kind].DEFECTS[name])


@pytest.mark.parametrize(("kind", "name"), SOUND)
def test_sound_plugin_passes(failed, kind, name):
    """The sound plugin that the broken ones derive from fails no test in the same run."""
    assert name in failed
    assert failed[name] == set()


@pytest.mark.parametrize(
    ("contract", "suites"),
    [
        (CipherContract, [suite_of_broken_ciphers]),
        (ProviderContract, [suite_of_broken_models]),
        (StoreContract, [suite_of_broken_stores, suite_of_broken_remotes]),
    ],
)
def test_every_test_has_a_defect_to_find(contract, suites):
    """Each test of the contract fails for a broken plugin."""
    tests = {name for name in dir(contract) if name.startswith("test_")}
    assert tests == {test for suite in suites for found in suite.DEFECTS.values() for test in found}
