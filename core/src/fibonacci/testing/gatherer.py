"""What ``pytest --fibonacci-report`` gathers: what became of each clause."""

import re
from typing import Any

import pytest

_CLAUSES = re.compile(r"\((C\d+(?:, C\d+)*(?: and C\d+)?)\)")
_MARK = "fibonacci"


class Gatherer:
    """Hears of all tests, and writes the report at the end."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], list[tuple[str, list[str], str]]] = {}
        """Of each contract and class: mode, clauses and outcome of each test."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note on each test of a contract what it is about; the note travels with its report."""
        for item in items:
            owner = getattr(item, "cls", None)
            contract = getattr(owner, "fibonacci_contract", None)
            if owner and contract:
                item.user_properties.append((_MARK, [contract, owner.__name__, *_about(item)]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the outcome; a fault while setting up or tearing down is a failure."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == _MARK and isinstance(value, list | tuple):
                contract, owner, mode, clauses = value
                self.outcomes.setdefault((contract, owner), []).append(
                    (mode, clauses, report.outcome)
                )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write a table for each class."""
        from fibonacci.testing.report import table, verdict

        for (contract, owner), outcomes in sorted(self.outcomes.items()):
            terminalreporter.section(f"{contract} {owner}")
            for line in table(outcomes):
                terminalreporter.write_line(line)
            terminalreporter.write_line(f"{contract} {owner}: {verdict(outcomes)}")


def clauses_of(test: object) -> list[str]:
    """Return the clauses that the first line of a test's docstring cites."""
    first = (getattr(test, "__doc__", None) or "").strip().partition("\n")[0]
    cited = _CLAUSES.search(first)
    return re.findall(r"C\d+", cited[1]) if cited else []


def _about(item: pytest.Item) -> tuple[str, list[str]]:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return str(params.get("mode", "")), clauses_of(getattr(item, "function", None))
