"""What the report says: each clause, mode by mode, and whether the contract is kept."""

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from fibonacci.testing.clauses import CLAUSES
from fibonacci.testing.planned import PlannedTest

WITHOUT_NETWORK = "without network faults"


@attrs.frozen
class Outcome:
    """How a test ended."""

    test: PlannedTest
    kind: str
    """passed, failed, skipped, or not applicable."""
    reason: str = ""
    """Why it is not applicable."""


def table(planned: Sequence[PlannedTest], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Return the lines of the table."""
    modes = list(dict.fromkeys(outcome.test.mode for outcome in outcomes))
    width = max(map(len, CLAUSES.values()))
    head = "".join(f"{mode:>10}" for mode in modes)
    yield f"{'':5}{'what it promises':{width}}{head}  verdict"
    for clause, promise in CLAUSES.items():
        tests = [test for test in planned if clause in test.clauses]
        about = [outcome for outcome in outcomes if clause in outcome.test.clauses]
        if about:
            cells = "".join(f"{_cell(about, mode):>10}" for mode in modes)
            yield f"{clause:5}{promise:{width}}{cells}  {_clause_verdict(tests, about)}"


def verdict(planned: Sequence[PlannedTest], outcomes: Sequence[Outcome]) -> str:
    """Return the last line: the counts, and whether the contract is kept."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    whole = _all_ran(planned, outcomes)
    shown = ["passed", *["failed"][: whole or kinds["failed"]], *_others(kinds)]
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in shown)
    total = "" if whole else f" of {len(planned)} tests"
    return f"{counts}{total}: {_contract_verdict(planned, outcomes)}"


def _others(kinds: Counter[str]) -> list[str]:
    return [kind for kind in ("not applicable", "skipped") if kinds[kind]]


def _contract_verdict(planned: Sequence[PlannedTest], outcomes: Sequence[Outcome]) -> str:
    if any(outcome.kind == "failed" for outcome in outcomes):
        return "breaks the contract"
    if not _all_ran(planned, outcomes):
        return "part of the contract"
    if not _is_without_network(outcomes):
        return "keeps the contract"
    reason = next(outcome.reason for outcome in outcomes if outcome.test.needs_network)
    return f"keeps the contract, {WITHOUT_NETWORK}: {reason}"


def _clause_verdict(planned: Sequence[PlannedTest], outcomes: Sequence[Outcome]) -> str:
    kinds = Counter(outcome.kind for outcome in outcomes)
    if kinds["failed"]:
        return "BROKEN"
    if not kinds["passed"]:
        return "not tested"
    if not _all_ran(planned, outcomes):
        return "in part"
    return f"kept, {WITHOUT_NETWORK}" if _is_without_network(outcomes) else "kept"


def _all_ran(planned: Sequence[PlannedTest], outcomes: Sequence[Outcome]) -> bool:
    """Return whether each test of the contract ran, or is not applicable."""
    ran = sum(outcome.test.is_contracts and outcome.kind != "skipped" for outcome in outcomes)
    return bool(planned) and ran == len(planned)


def _is_without_network(outcomes: Sequence[Outcome]) -> bool:
    """Return whether there are tests of network faults, of which none is applicable."""
    kinds = {outcome.kind for outcome in outcomes if outcome.test.needs_network}
    return kinds == {"not applicable"}


def _cell(outcomes: Sequence[Outcome], mode: str) -> str:
    kinds = Counter(outcome.kind for outcome in outcomes if outcome.test.mode == mode)
    return f"{kinds['passed']}/{kinds['passed'] + kinds['failed']}" if kinds else "-"
