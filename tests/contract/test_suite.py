"""The suite is complete, readable, and light if it is not used."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fibonacci import testing
from fibonacci.testing import CipherContract, EngineContract, ProviderContract, StoreContract
from fibonacci.testing.clauses import CLAUSES, cited_clauses

pytest_plugins = ["pytester"]

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


SHELF = """
from fibonacci.testing import StoreContract

class TestShelf(StoreContract):
    backend = "memory"
"""

PARTS = [
    *("Value", "CorruptRecord", "Address", "Space", "Expired", "Expiry", "Touch", "Clock"),
    *("Listing", "Page", "CompareAndSet", "Batch", "Large", "AtomicUpdate", "DefaultMethod"),
    *("Error", "Hook", "Secrecy", "Lifecycle", "Fork", "Interrupt", "Signal", "History"),
    *("LostReply", "Deadline", "Connection", "NetworkSecrecy"),
]
"""From the simplest to those that only make sense if all else works."""


def test_simple_tests_come_first(pytester):
    """The tests of a store run part by part, the simplest one first: that a value comes back."""
    items, _ = pytester.inline_genitems(pytester.makepyfile(SHELF))
    tests = list(dict.fromkeys(item.originalname for item in items))
    assert tests[0] == "test_round_trip"
    assert list(dict.fromkeys(map(part_of, tests))) == [f"{part}Tests" for part in PARTS]


def part_of(test):
    return getattr(StoreContract, test).__qualname__.partition(".")[0]
