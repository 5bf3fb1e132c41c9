"""Errors: of requests that are late, and of options; none shows a secret."""

import time
from contextlib import suppress

import pytest

from fibonacci import BackendUnavailableError, ConfigurationError, OutcomeUnknownError
from fibonacci.plugin import StoreURL
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
        url = memory_factory.config["connection_url"]
        password = StoreURL.parse(url).password if url else None
        raw_store.read(raw_store.address("k"))
        shown = f"{raw_store.store!r} {raw_store.store} {memory_factory.new_workflow()!r}"
        assert not password or password not in shown
