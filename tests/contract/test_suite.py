"""The suite is complete, readable, and light if it is not used."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fibonacci import testing
from fibonacci.testing import CipherContract, EngineContract, ProviderContract, StoreContract
from fibonacci.testing.report import CLAUSES, cited_clauses

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = [CipherContract, EngineContract, ProviderContract, StoreContract]
EXTRA = [
    *(("pytest", contract) for contract in CONTRACTS),
    ("hypothesis", EngineContract),
    ("hypothesis", StoreContract),
]
"""The packages of the extra, and the contracts that need them."""


def named_in(contract):
    return [
        name for part in contract.__mro__[1:] for name in vars(part) if name.startswith("test_")
    ]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_no_test_hides_another(contract):
    """No two parts of a contract have a test of the same name."""
    assert sorted(named_in(contract)) == sorted(set(named_in(contract)))


@pytest.mark.parametrize("contract", CONTRACTS)
def test_each_test_cites_a_clause(contract):
    """Each test has a sentence, and cites a clause."""
    for name in named_in(contract):
        first = getattr(contract, name).__doc__.splitlines()[0]
        assert first.endswith(")."), name
        assert set(cited_clauses(getattr(contract, name))) <= set(CLAUSES), name
        assert cited_clauses(getattr(contract, name)), name


def test_each_clause_is_tested():
    """Each clause that a plugin can break has a test."""
    cited = {
        clause
        for contract in CONTRACTS
        for name in named_in(contract)
        for clause in cited_clauses(getattr(contract, name))
    }
    assert cited == set(CLAUSES)


def test_unknown_name():
    """An unknown name of the package raises AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'ShelfContract'"):
        getattr(testing, "ShelfContract")  # noqa: B009 - a name that no checker would pass


def test_plugin_is_light():
    """A pytest run that does not use fibonacci does not import it."""
    script = (
        "import sys, pytest; before = set(sys.modules); import fibonacci_pytest; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['fibonacci_pytest']"


def test_the_entry_point_is_light():
    """pytest's entry point is the light module."""
    project = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"fibonacci": "fibonacci_pytest"}


@pytest.mark.parametrize(("missing", "contract"), EXTRA)
def test_without_the_extra(contract, missing, monkeypatch):
    """A contract whose packages are not installed says how to install them."""
    for module in [name for name in sys.modules if name.startswith("fibonacci.testing.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError) as raised:
        getattr(testing, contract.__name__)
    assert str(raised.value) == (
        f"fibonacci.testing.{contract.__name__} needs the package {missing}. "
        f"Install it: pip install 'fibonacci-core[testing]'"
    )


@pytest.mark.parametrize("contract", [CipherContract, ProviderContract])
def test_without_hypothesis(contract):
    """A contract without random values needs neither hypothesis nor the contract of stores."""
    script = (
        "import sys; sys.modules['hypothesis'] = None; from fibonacci import testing; "
        f"testing.{contract.__name__}; "
        "print([name for name in sys.modules if name.startswith('fibonacci.testing.store')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_broken_module_is_no_missing_package(monkeypatch):
    """A missing module of fibonacci itself is not reported as a package to install."""
    monkeypatch.setitem(sys.modules, "fibonacci.testing.store", None)
    with pytest.raises(ModuleNotFoundError, match="import of fibonacci"):
        _ = testing.StoreContract


REPORTED = """
from fibonacci.testing import StoreContract

class TestShelf(StoreContract):
    backend = "memory"
    modes = ["sync", "mixed"]

    def test_round_trip(self, memory):
        '''A value is lost (C7).'''
        assert not memory.set("k", 1)
"""


def report(tmp_path, *options):
    """Run a part of the suite with the report, and return its lines."""
    file = tmp_path / "test_shelf.py"
    file.write_text(REPORTED)
    options = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--fibonacci-report", *options]
    command = [sys.executable, "-m", "pytest", "-p", "fibonacci_pytest", file, *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stdout.splitlines()


def test_report_of_a_failure(tmp_path):
    """The report names the broken clause and mode."""
    lines = report(tmp_path, "-k", "round_trip or test_none")
    assert "StoreContract TestShelf: 2 passed, 2 failed: breaks the contract" in lines
    (row,) = [line for line in lines if line.startswith("C7 ")]
    assert row.split()[-3:] == ["0/1", "0/1", "BROKEN"]
    (row,) = [line for line in lines if line.startswith("C9 ")]
    assert row.split()[-3:] == ["1/1", "1/1", "kept"]


def test_report_of_a_success(tmp_path):
    """The last line of the report says that the contract is kept."""
    lines = report(tmp_path, "-k", "test_none")
    assert "StoreContract TestShelf: 2 passed, 0 failed: keeps the contract" in lines
