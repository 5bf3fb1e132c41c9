"""How much of a contract a class runs: one mode in every run, the others with ``--long``."""

from collections.abc import Sequence
from typing import Any

import pytest

from fibonacci.testing.store.network_fixtures import NetworkFixtures

MODES = ("mixed", "sync", "async")


def mostly(first: str, *others: str) -> Sequence[Any]:
    """Return the modes of a contract's class; all but the first are marked ``long``."""
    behind = others or [mode for mode in MODES if mode != first]
    return [first, *(pytest.param(mode, marks=pytest.mark.long) for mode in behind)]


def without_network_faults(contract: type, *, but: type | None = None) -> type:
    """Leave out the tests that break the network, in a class whose server another class has.

    The tests of ``but``, a part of the contract, stay.
    """
    for part in contract.__mro__:
        if part is but:
            continue
        if issubclass(part, NetworkFixtures) and part.__module__.startswith("fibonacci."):
            for name in vars(part):
                if name.startswith("test_"):
                    setattr(contract, name, None)
    return contract
