"""Tests that say nothing about a store, as it has not what they are about."""

from typing import NoReturn

import pytest

NOT_APPLICABLE = "not applicable: "
"""How the reason of each such test begins; the report tells them from tests that were left out."""


def not_applicable(reason: str) -> NoReturn:
    """Skip the test: the store has no server, no async counterpart, no clock of its own, ….

    Raises pytest's ``Skipped``.
    """
    pytest.skip(f"{NOT_APPLICABLE}{reason}")
