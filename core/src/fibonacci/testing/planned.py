"""Which tests a contract has, and which of them a class runs."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from fibonacci.testing.clauses import cited_clauses


@attrs.frozen
class PlannedTest:
    """One test, in one mode."""

    mode: str
    """Empty if the contract has no modes."""
    clauses: tuple[str, ...]
    """Those that it cites."""
    needs_network: bool
    """Whether it disturbs the connection to a server."""
    is_contracts: bool
    """Whether it is the contract's own test, and not one that the class adds or replaces."""

    @classmethod
    def of(cls, item: pytest.Item, contract: type) -> "PlannedTest":
        """Return what the collected test is about."""
        function = getattr(item, "function", None)
        name = getattr(function, "__name__", "")
        params = getattr(getattr(item, "callspec", None), "params", {})
        return cls(
            mode=str(params.get("mode", "")),
            clauses=tuple(cited_clauses(function)),
            needs_network=getattr(_part(contract, name), "needs_network", False),
            is_contracts=getattr(contract, name, None) is function,
        )


def contract_of(item: pytest.Item) -> type | None:
    """Return the contract that the test's class inherits, such as StoreContract."""
    owner = getattr(item, "cls", None)
    name = getattr(owner, "fibonacci_contract", None)
    return next((base for base in getattr(owner, "__mro__", ()) if base.__name__ == name), None)


def whole_contract(node: pytest.Class, contract: type) -> list[PlannedTest]:
    """Return all tests of the contract in all modes, whichever of them the class leaves out.

    pytest collects them from a copy of the class that leaves out none.
    """
    own = {name: getattr(contract, name) for name in dir(contract) if name.startswith("test_")}
    if hasattr(contract, "modes"):
        own["modes"] = contract.modes
    copy = pytest.Class.from_parent(node.parent, name=f"{node.name} (whole)")
    copy.obj = type(node.name, (node.obj,), own)
    collected = [PlannedTest.of(item, contract) for item in _functions(copy)]
    return [test for test in collected if test.is_contracts]


def _functions(node: pytest.Class) -> Iterator[Any]:
    return (item for item in node.collect() if isinstance(item, pytest.Function))


def _part(contract: type, name: str) -> type | None:
    """Return the part of the contract that defines the test, if one does."""
    parts = contract.__mro__[1:]
    return next((part for part in parts if name in vars(part)), None)
