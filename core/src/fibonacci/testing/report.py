"""What ``pytest --fibonacci-report`` prints: each clause of the contract, mode by mode."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

Outcome = tuple[str, list[str], str]
"""A test's mode, the clauses that it cites, and its outcome."""

CLAUSES = {
    "C1": "distinct addresses never collide, and decode back",
    "C2": "names are never normalised, folded or trimmed",
    "C3": "limits of names: the same on every backend",
    "C6": "clear and list_keys touch one space",
    "C7": "values: strict JSON, exact, never the caller's object",
    "C8": "corrupt bytes raise",
    "C9": "None is a value",
    "C10": "large values: stored whole, or refused before the write",
    "C11": "ttl: milliseconds, checked",
    "C12": "expired is absent, at once and for every method",
    "C13": "which method sets or keeps an expiry",
    "C14": "results are true; listings are complete and sorted",
    "C15": "patterns mean the same everywhere",
    "C16": "concurrent changes lose nothing",
    "C17": "each record of a batch is whole",
    "C18": "a request past its deadline raises",
    "C19": "an interrupted call does not harm other calls",
    "C21": "threads, event loops and forks",
    "C22": "one store for all, closed with the last",
    "C23": "no secret is shown",
    "C24": "sealed values: hidden, authenticated, bound to their address",
    "C25": "foreign and sealed records: untouched, never misread",
    "C26": "templates: all references are listed; missing values",
    "C27": "templates: one pass, keys only, JSON for the rest",
    "C30": "models: one completion, whole or streamed, sync or async",
    "C31": "models: an abandoned stream or call does not harm others",
    "C32": "models: the options of a request are used, or refused",
    "C33": "models: a completion by the deadline, or an error",
    "C34": "models: an error says whether a retry may help",
    "C35": "models: any text is a prompt",
}


_CITED_CLAUSES = re.compile(r"\((C\d+(?:, C\d+)*(?: and C\d+)?)\)")
_PROPERTY = "fibonacci"


class ReportPlugin:
    """Collects the outcome of each test, and writes the report at the end."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], list[Outcome]] = {}
        """The outcomes of each contract and class."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Store in each test's properties what it is about; its report has them as well."""
        for item in items:
            owner = getattr(item, "cls", None)
            contract = getattr(owner, "fibonacci_contract", None)
            if owner and contract:
                item.user_properties.append((_PROPERTY, [contract, owner.__name__, *_about(item)]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the outcome; an error while setting up or tearing down is a failure."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, list | tuple):
                contract, owner, mode, clauses = value
                self.outcomes.setdefault((contract, owner), []).append(
                    (mode, clauses, report.outcome)
                )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write a table for each class."""
        for (contract, owner), outcomes in sorted(self.outcomes.items()):
            terminalreporter.section(f"{contract} {owner}")
            for line in table(outcomes):
                terminalreporter.write_line(line)
            terminalreporter.write_line(f"{contract} {owner}: {verdict(outcomes)}")


def cited_clauses(test: object) -> list[str]:
    """Return the clauses that the first line of a test's docstring cites."""
    first = (getattr(test, "__doc__", None) or "").strip().partition("\n")[0]
    cited = _CITED_CLAUSES.search(first)
    return re.findall(r"C\d+", cited[1]) if cited else []


def _about(item: pytest.Item) -> tuple[str, list[str]]:
    params = getattr(getattr(item, "callspec", None), "params", {})
    return str(params.get("mode", "")), cited_clauses(getattr(item, "function", None))


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Return the lines of the table."""
    modes = list(dict.fromkeys(mode for mode, _, _ in outcomes))
    width = max(map(len, CLAUSES.values()))
    head = "".join(f"{mode:>10}" for mode in modes)
    yield f"{'':5}{'what it promises':{width}}{head}  verdict"
    for clause, promise in CLAUSES.items():
        counts = [_count(outcomes, clause, mode) for mode in modes]
        if any(counts):
            cells = "".join(f"{_cell(count):>10}" for count in counts)
            yield f"{clause:5}{promise:{width}}{cells}  {_clause_verdict(sum(counts, Counter()))}"


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Return the last line: the counts, and whether the contract is kept."""
    count = Counter(outcome for _, _, outcome in outcomes)
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    result = "breaks the contract" if count["failed"] else "keeps the contract"
    return f"{count['passed']} passed, {count['failed']} failed{skipped}: {result}"


def _count(outcomes: Sequence[Outcome], clause: str, mode: str) -> Counter[str]:
    return Counter(
        outcome
        for outcome_mode, cited, outcome in outcomes
        if outcome_mode == mode and clause in cited
    )


def _cell(count: Counter[str]) -> str:
    return f"{count['passed']}/{count.total() - count['skipped']}" if count else "-"


def _clause_verdict(count: Counter[str]) -> str:
    if count["failed"]:
        return "BROKEN"
    return "kept" if count["passed"] else "not tested"
