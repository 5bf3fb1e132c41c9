"""The report: clause by clause, mode by mode, what was kept."""

from collections import Counter
from collections.abc import Iterator, Sequence

from fibonacci.testing.clauses import PROMISES

Outcome = tuple[str, list[str], str]
"""A test's mode, the clauses that it cites, and what became of it."""


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Return the lines of the table."""
    modes = list(dict.fromkeys(mode for mode, _, _ in outcomes))
    width = max(map(len, PROMISES.values()))
    head = "".join(f"{mode:>10}" for mode in modes)
    yield f"{'':5}{'what it promises':{width}}{head}  verdict"
    for clause, promise in PROMISES.items():
        counts = [_count(outcomes, clause, mode) for mode in modes]
        if any(counts):
            cells = "".join(f"{_cell(count):>10}" for count in counts)
            yield f"{clause:5}{promise:{width}}{cells}  {_word(sum(counts, Counter()))}"


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Return the last line: the counts, and whether the contract is kept."""
    count = Counter(outcome for _, _, outcome in outcomes)
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    kept = "breaks the contract" if count["failed"] else "keeps the contract"
    return f"{count['passed']} passed, {count['failed']} failed{skipped}: {kept}"


def _count(outcomes: Sequence[Outcome], clause: str, mode: str) -> Counter[str]:
    return Counter(
        outcome for spoken, cited, outcome in outcomes if spoken == mode and clause in cited
    )


def _cell(count: Counter[str]) -> str:
    return f"{count['passed']}/{count.total() - count['skipped']}" if count else "-"


def _word(count: Counter[str]) -> str:
    if count["failed"]:
        return "BROKEN"
    return "kept" if count["passed"] else "not tested"
