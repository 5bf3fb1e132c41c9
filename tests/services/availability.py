"""Skips a test whose server this machine lacks, or fails it on demand.

A fixture or a test that starts a server calls `unavailable` if its program is missing.
"""

import os
from collections import Counter
from typing import Any, NoReturn

REQUIRE = "FIBONACCI_REQUIRE_SERVICES"


def unavailable(server: str, reason: str, install: str) -> NoReturn:
    """Skip the test that needs the server; fail it under `FIBONACCI_REQUIRE_SERVICES=1`."""
    if os.environ.get(REQUIRE, "") not in ("", "0"):
        raise RuntimeError(f"{server}: {reason}: {install}")
    import pytest  # benchmarks start servers too, without pytest

    pytest.skip(f"{server}: {reason}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Count the skipped tests by reason: pytest itself would print a line for each."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    reasons = Counter(reason.removeprefix("Skipped: ") for _, _, reason in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not run: {reason}: {count} tests", yellow=True)
