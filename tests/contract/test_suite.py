"""The suite itself: complete, readable, and light where it is not used."""

import subprocess
import sys

import pytest

from fibonacci import testing
from fibonacci.testing import CipherContract, EngineContract, ProviderContract, StoreContract
from fibonacci.testing.clauses import PROMISES
from fibonacci.testing.plugin import clauses_of

CONTRACTS = [CipherContract, EngineContract, ProviderContract, StoreContract]


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
    """Each test says in one sentence what must hold, and by which clause."""
    for name in named_in(contract):
        first = getattr(contract, name).__doc__.splitlines()[0]
        assert first.endswith(")."), name
        assert set(clauses_of(getattr(contract, name))) <= set(PROMISES), name
        assert clauses_of(getattr(contract, name)), name


def test_each_clause_is_tested():
    """Each clause that a plugin can break has a test."""
    cited = {
        clause
        for contract in CONTRACTS
        for name in named_in(contract)
        for clause in clauses_of(getattr(contract, name))
    }
    assert cited == set(PROMISES)


def test_unknown_name():
    """The package has its contracts, and says so of anything else."""
    with pytest.raises(AttributeError, match="has no attribute 'ShelfContract'"):
        getattr(testing, "ShelfContract")  # noqa: B009 - a name that no checker would pass


def test_plugin_is_light():
    """A pytest run that tests no store imports neither the suite nor hypothesis nor asyncio."""
    script = (
        "import sys, pytest; before = set(sys.modules); import fibonacci.testing.plugin; "
        "new = set(sys.modules) - before; "
        "print(sorted(new & {'hypothesis', 'asyncio', 'fibonacci.testing.cipher', "
        "'fibonacci.testing.engine', 'fibonacci.testing.provider', "
        "'fibonacci.testing.store'}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


REPORTED = """
from fibonacci.testing import StoreContract

class TestShelf(StoreContract):
    backend = "memory"
    voices = ["sync", "mixed"]

    def test_round_trip(self, memory):
        '''A value is lost (C7).'''
        assert not memory.set("k", 1)
"""


def report(tmp_path, *options):
    """Run a part of the suite with the report, and return its lines."""
    file = tmp_path / "test_shelf.py"
    file.write_text(REPORTED)
    options = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--fibonacci-report", *options]
    command = [sys.executable, "-m", "pytest", "-p", "fibonacci.testing.plugin", file, *options]
    if "fibonacci" in _plugins():
        del command[3:5]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.splitlines()


def _plugins():
    from importlib.metadata import entry_points

    return entry_points(group="pytest11").names


def test_report_of_a_failure(tmp_path):
    """The report says which clause is broken, and in which voice."""
    lines = report(tmp_path, "-k", "round_trip or test_none")
    assert "StoreContract TestShelf: 2 passed, 2 failed: breaks the contract" in lines
    (row,) = [line for line in lines if line.startswith("C7 ")]
    assert row.split()[-3:] == ["0/1", "0/1", "BROKEN"]
    (row,) = [line for line in lines if line.startswith("C9 ")]
    assert row.split()[-3:] == ["1/1", "1/1", "kept"]


def test_report_of_a_success(tmp_path):
    """The last line of a kept contract says so."""
    lines = report(tmp_path, "-k", "test_none")
    assert "StoreContract TestShelf: 2 passed, 0 failed: keeps the contract" in lines
