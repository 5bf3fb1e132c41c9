"""The modes in which a contract's class runs: one in every run, the others with ``--long``."""

from collections.abc import Sequence
from typing import Any

import pytest

MODES = ("mixed", "sync", "async")


def mostly(first: str, *others: str) -> Sequence[Any]:
    """Return the modes of a contract's class; all but the first are marked ``long``."""
    behind = others or [mode for mode in MODES if mode != first]
    return [first, *(pytest.param(mode, marks=pytest.mark.long) for mode in behind)]
