"""The pytest plugin of fibonacci-core: a fixture, and an option. Neither costs who does not use it.

pytest imports this at every start wherever fibonacci-core is installed. It stands outside of the
package ``fibonacci``, as all of that is imported with any module in it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fibonacci import MemoryManager

# Here, as pytest imports this before any test can import a suite.
pytest.register_assert_rewrite(
    *(f"fibonacci.testing.{suite}" for suite in ("cipher", "engine", "provider", "store"))
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("fibonacci").addoption(
        "--fibonacci-report",
        action="store_true",
        help="show clause by clause how the tested backends keep fibonacci's contract",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that collects the report, if the option is set."""
    if config.getoption("--fibonacci-report"):
        from fibonacci.testing.report import ReportPlugin

        config.pluginmanager.register(ReportPlugin(), "fibonacci-report")


@pytest.fixture
def fibonacci_memory() -> "Iterator[MemoryManager]":
    """Every memory of the process is empty, and in the process, until the test ends.

    See ``fibonacci.testing.fresh_memory``.
    """
    from fibonacci.testing import fresh_memory

    with fresh_memory() as memory:
        yield memory
