"""Errors: of requests that are late, and of options; none shows a secret."""

import random
import time
from contextlib import suppress

import pytest

from fibonacci import BackendUnavailableError, ConfigurationError, OutcomeUnknownError
from fibonacci.plugin import Address
from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory, StoreUnderTest


class ErrorTests(ContractFixtures):
    """C18 and C23."""

    def test_read_past_deadline(self, raw_store: StoreUnderTest) -> None:
        """A read past its deadline is right or raises: never "absent" (C14, C18)."""
        raw_store.write(raw_store.address("k"), b"1")
        for _ in range(3):
            with suppress(BackendUnavailableError):
                assert raw_store.read(raw_store.address("k"), deadline=time.monotonic() - 1) == b"1"
            assert raw_store.read(raw_store.address("k")) == b"1"

    def test_write_past_deadline(self, raw_store: StoreUnderTest) -> None:
        """A write past its deadline is applied, or raises its outcome (C18)."""
        raw_store.write(raw_store.address("k"), b"old")
        possible = {b"new"}
        try:
            raw_store.write(raw_store.address("k"), b"new", deadline=time.monotonic() - 1)
        except BackendUnavailableError:
            possible = {b"old"}
        except OutcomeUnknownError:
            possible = {b"old", b"new"}
        assert raw_store.read(raw_store.address("k")) in possible

    def test_any_deadline(self, raw_store: StoreUnderTest) -> None:
        """A deadline that passes during a change leaves a result or an error that is true (C18)."""
        dice = random.Random(1)  # noqa: S311 - no secret
        outcomes = [
            (address, _change(raw_store, address, dice))
            for address in (raw_store.address(f"k{number}") for number in range(60))
        ]
        time.sleep(0.1)  # a request that was given up may arrive late
        for address, possible in outcomes:
            assert raw_store.read(address) in possible

    def test_unknown_option(self, memory_factory: MemoryFactory) -> None:
        """An unknown option is refused, and its value not shown (C23)."""
        if not isinstance(self.backend, str):
            return
        options = {**self.options, "no_such_option": "hunter2"}
        with pytest.raises(ConfigurationError) as caught:
            memory_factory.new_workflow(options=options)
        assert "hunter2" not in str(caught.value)

    def test_no_password_in_repr(
        self, raw_store: StoreUnderTest, memory_factory: MemoryFactory
    ) -> None:
        """The repr of the store does not show the password of its URL (C23)."""
        raw_store.read(raw_store.address("k"))
        shown = f"{raw_store.store!r} {raw_store.store} {memory_factory.new_workflow()!r}"
        assert [one for one in memory_factory.passwords() if one in shown] == []


def _change(raw_store: StoreUnderTest, address: Address, dice: random.Random) -> set[bytes]:
    """Change a record by a deadline of a few milliseconds; return what it may hold now."""
    new = b"new" * dice.choice([1, 30_000])
    raw_store.write(address, b"old")
    deadline = time.monotonic() + dice.uniform(0, 0.01)
    try:
        written = raw_store.call("compare_and_set", address, b"old", new, None, deadline=deadline)
    except BackendUnavailableError:
        return {b"old"}
    except OutcomeUnknownError:
        return {b"old", new}
    assert written is True
    return {new}
