"""Clocks: a server's expiries do not depend on the clock of the client."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.store.fixtures import ContractFixtures, StoreUnderTest

HOUR = 3600


class ClockTests(ContractFixtures):
    """C12: whose clock it is."""

    @pytest.mark.parametrize("skew", [HOUR, -HOUR])
    def test_skewed_clock(self, raw_store: StoreUnderTest, skew: int) -> None:
        """A wrong clock of the client moves no expiry of a server's clock (C12)."""
        if raw_store.store.clock != "server":
            not_applicable("the client's clock decides when a record expires")
        before, during = raw_store.address("before"), raw_store.address("during")
        raw_store.write(before, b"1", 60_000)
        with skewed_clock(skew, raw_store.store):
            raw_store.write(during, b"1", 60_000)
            for address in (before, during):
                left = raw_store.remaining_ttl_ms(address)
                assert isinstance(left, int)
                assert 30_000 < left <= 60_000
        assert raw_store.read_many([before, during]) == [b"1", b"1"]


@contextmanager
def skewed_clock(skew: int, store: object) -> Iterator[None]:
    """Set the clock of ``time``, also where the store or Fibonacci has imported its functions.

    ``datetime`` has a clock that can't be replaced.
    """
    now, now_ns = time.time, time.time_ns
    skewed: dict[Any, Callable[[], float]] = {
        now: lambda: now() + skew,
        now_ns: lambda: now_ns() + skew * 10**9,
    }
    package = type(store).__module__.partition(".")[0]
    with pytest.MonkeyPatch.context() as patch:
        for module in [time, *_modules_of({package, "fibonacci"})]:
            for name, clock in [*vars(module).items()]:
                if clock is now or clock is now_ns:
                    patch.setattr(module, name, skewed[clock])
        yield


def _modules_of(packages: set[str]) -> list[ModuleType]:
    return [module for name, module in [*sys.modules.items()] if name.partition(".")[0] in packages]
