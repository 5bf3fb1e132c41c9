"""The contract and the odd values without orjson, as on PyPy."""

from pathlib import Path

import pytest
from without_orjson import run_tests_without_orjson

ROOT = Path(__file__).parents[2]
SUITES = ("tests/contract/test_memory.py", "plugins/fibonacci-sqlite/tests/test_contract.py")


CHOSEN = "odd and not endless_tuples or (TestSqlite or [sync) and ({})".format(
    " or ".join(
        ("round_trip", "none", "large", "corrupt", "_many[", "appends", "increments", "updates")
    )
)


def test_values_without_orjson():
    """C7, C8, C16: every odd value, and the clauses on values, in the process and in a file."""
    files = (*SUITES, "tests/memory/test_values_odd.py")
    run_tests_without_orjson("-k", CHOSEN, *(str(ROOT / file) for file in files))


@pytest.mark.long
@pytest.mark.parametrize("suite", SUITES)
def test_the_contract_holds_without_orjson(suite: str):
    """The whole contract holds without orjson, in the process and in a file."""
    run_tests_without_orjson(str(ROOT / suite))
