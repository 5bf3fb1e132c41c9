"""What ``pytest --fibonacci-report`` prints at the end of a run, for each class of a contract."""

from typing import Any

import attrs
import pytest

from fibonacci.testing.applicability import NOT_APPLICABLE
from fibonacci.testing.planned import PlannedTest, contract_of, whole_contract
from fibonacci.testing.verdict import Outcome, table, verdict

_PROPERTY = "fibonacci"

ClassKey = tuple[str, str, str]
"""The contract's name, the class's name, and its file."""


class ReportPlugin:
    """Collects the outcome of each test, and writes the report at the end.

    With xdist the tests are collected and run by workers: what they collected arrives at the end,
    and what a test is about with its report.
    """

    def __init__(self) -> None:
        self.planned: dict[ClassKey, list[PlannedTest]] = {}
        """All tests of each class's contract, whichever of them are run."""
        self.outcomes: dict[ClassKey, dict[str, Outcome]] = {}
        """The outcomes of each class, by test."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note what each test is about, before any is deselected."""
        for item in items:
            contract, node = contract_of(item), item.getparent(pytest.Class)
            if contract is None or node is None:
                continue
            key = (contract.__name__, node.name, node.nodeid)
            if key not in self.planned:
                self.planned[key] = whole_contract(node, contract)
            test = attrs.astuple(PlannedTest.of(item, contract))
            item.user_properties.append((_PROPERTY, [key, test]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome; an error while setting up or tearing down is a failure."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, list | tuple):
                key, test = value
                outcomes = self.outcomes.setdefault(tuple(key), {})
                outcomes[report.nodeid] = _outcome(report, _planned(test))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send what was collected to the process that writes the report."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_PROPERTY] = [
                [key, [attrs.astuple(test) for test in tests]]
                for key, tests in self.planned.items()
            ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of xdist collected."""
        for key, tests in getattr(node, "workeroutput", {}).get(_PROPERTY, ()):
            self.planned[tuple(key)] = list(map(_planned, tests))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write a table for each class."""
        for key, by_test in sorted(self.outcomes.items()):
            contract, owner, _ = key
            planned, outcomes = self.planned.get(key, []), list(by_test.values())
            terminalreporter.section(f"{contract} {owner}")
            for line in table(planned, outcomes):
                terminalreporter.write_line(line)
            terminalreporter.write_line(f"{contract} {owner}: {verdict(planned, outcomes)}")


def _planned(values: Any) -> PlannedTest:
    mode, clauses, *rest = values
    return PlannedTest(mode, tuple(clauses), *rest)


def _outcome(report: pytest.TestReport, test: PlannedTest) -> Outcome:
    if not report.skipped:
        return Outcome(test, report.outcome)
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    _, found, reason = reason.partition(NOT_APPLICABLE)
    return Outcome(test, "not applicable" if found else "skipped", reason)
