"""The suite finds each of these defects, and by the test that says what is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from broken_models import BROKEN
from suite_of_broken_models import SOUND

from fibonacci.testing import ProviderContract

SUITE = Path(__file__).with_name("suite_of_broken_models.py")


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The names of the tests that failed, by model."""
    file = tmp_path_factory.mktemp("suite") / "models.xml"
    options = ["-q", "--tb=line", "-p", "no:cacheprovider", "-c", os.devnull]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", SUITE, *options, f"--junitxml={file}"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SUITE.parent), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout
    failed = {}
    for case in ElementTree.parse(file).iter("testcase"):
        _, _, name = case.attrib["classname"].rpartition(".Test")
        tests = failed.setdefault(name, set())
        assert case.find("error") is None, case.attrib
        if case.find("failure") is not None:
            tests.add(case.attrib["name"].partition("[")[0])
    return failed


@pytest.mark.parametrize("name", BROKEN)
def test_defect_is_found(failed, record_testsuite_property, name):
    """A model with one defect fails by the test that is about it."""
    record_testsuite_property(name, " ".join(sorted(failed[name])))
    assert BROKEN[name].test in failed[name]


@pytest.mark.parametrize("name", SOUND)
def test_sound_model_passes(failed, name):
    """The models that the broken ones are made of have no failure in the same run."""
    assert failed[name] == set()


def test_every_test_has_a_defect_to_find():
    """No test of the contract is there that no broken model fails."""
    tests = {name for name in dir(ProviderContract) if name.startswith("test_")}
    assert tests == {model.test for model in BROKEN.values()}
