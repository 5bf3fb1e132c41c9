"""The report says that a contract is kept only if all of its tests ran."""

import re

import pytest

pytest_plugins = ["pytester"]

CONTRACT = """
import pytest
from fibonacci.testing.modes import ModeFixtures
from network_faults import NetworkTests

class SmallContract(NetworkTests, ModeFixtures):
    fibonacci_contract = "SmallContract"
    modes = ("sync", "async")
    longest_call = classmethod(lambda cls: 1)

    @pytest.mark.parametrize("number", [1, 2])
    def test_number(self, mode, number):
        '''A number comes back (C7).'''
        assert number != getattr(self, "broken", None)

    def test_none(self, mode):
        '''None comes back (C9).'''

    def test_signals(self, mode):
        '''A signal does no harm (C9, C19).'''
        if mode.name == "async":
            pytest.skip("not applicable: signals interrupt sync code")
"""

NETWORK = """
import pytest

class NetworkTests:
    needs_network = True
    server = False

    def test_cut(self, mode):
        '''A connection is cut (C7, C18).'''
        if not self.server:
            pytest.skip("not applicable: the URL names no server")
"""

CLASS = """
from small_contract import SmallContract

class TestShelf(SmallContract):
    {}
"""


@pytest.fixture
def report(pytester, monkeypatch):
    """Runs the small contract's class with the report, and returns its lines."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.syspath_prepend(pytester.path)
    pytester.makepyfile(network_faults=NETWORK, small_contract=CONTRACT)

    def run(*options, body="server = True", run=pytester.runpytest_inprocess):
        pytester.makepyfile(test_shelf=CLASS.format(body))
        plugins = ["-p", "fibonacci_pytest", "-p", "no:cacheprovider"]
        return run(*plugins, "--fibonacci-report", *options).outlines

    return run


def last(lines):
    """Return the class's last line, without its name."""
    (line,) = [line for line in lines if line.startswith("SmallContract TestShelf: ")]
    return line.partition(": ")[2]


def row(lines, clause):
    """Return a clause's cells and verdict."""
    (line,) = [line for line in lines if line.startswith(f"{clause} ")]
    return re.split("  +", line)[-3:]


def test_kept(report):
    """All tests ran, or are not applicable: the contract is kept."""
    lines = report()
    assert last(lines) == "9 passed, 0 failed, 1 not applicable: keeps the contract"
    assert row(lines, "C7") == ["3/3", "3/3", "kept"]
    assert row(lines, "C19") == ["1/1", "0/0", "kept"]


def test_without_a_server(report):
    """Without a server no network fault is tested, which the verdict says, with the reason."""
    lines = report(body="pass")
    assert last(lines) == (
        "7 passed, 0 failed, 3 not applicable: "
        "keeps the contract, without network faults: the URL names no server"
    )
    assert row(lines, "C7")[-1] == "kept, without network faults"
    assert row(lines, "C9")[-1] == "kept"
    assert row(lines, "C18")[-1] == "not tested"


@pytest.mark.parametrize(
    ("options", "body", "counts"),
    [
        (["-k", "none"], "server = True", "2 passed of 10"),
        (["test_shelf.py::TestShelf::test_none"], "server = True", "2 passed of 10"),
        (["-k", "sync and not async"], "server = True", "5 passed of 10"),
        ([], "server = True; modes = ('sync',)", "5 passed of 10"),
        ([], "server = True; test_none = None", "7 passed, 1 not applicable of 10"),
        ([], "server = True; test_none = lambda self: None", "8 passed, 1 not applicable of 10"),
        ([], "import pytest; pytestmark = pytest.mark.skip", "10 skipped of 10"),
    ],
)
def test_in_part(report, options, body, counts):
    """A part of the tests is no verdict on the contract, however it was chosen."""
    lines = report(*options, body=body)
    assert last(lines).removeprefix("0 passed, ") == f"{counts} tests: part of the contract"


def test_clause_in_part(report):
    """A clause of which not all tests ran is kept in part."""
    lines = report("-k", "none or number and 1")
    assert row(lines, "C9")[-1] == "in part"
    assert row(lines, "C7")[-1] == "in part"


def test_broken(report):
    """A test fails: the contract is broken, and so are the clauses that it cites."""
    lines = report("-k", "number", body="broken = 1")
    assert last(lines) == "2 passed, 2 failed of 10 tests: breaks the contract"
    assert row(lines, "C7") == ["1/2", "1/2", "BROKEN"]


def test_with_workers(report, pytester):
    """The verdict is the same if xdist's workers collect and run the tests."""
    lines = report("-p", "xdist", "-n", "1", run=pytester.runpytest_subprocess)
    assert last(lines) == "9 passed, 0 failed, 1 not applicable: keeps the contract"
