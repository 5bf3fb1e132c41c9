"""What is shown and logged during calls: no password, no key and no value."""

import logging

import pytest

from fibonacci.testing.store.fixtures import ContractFixtures, MemoryFactory, StoreUnderTest

VALUE = b"value-hunter3"
OTHER = b"other-hunter3"
KEY = "key-hunter4"


class SecrecyTests(ContractFixtures):
    """C23: logs, and what a debugger shows."""

    def test_nothing_secret_is_shown(
        self,
        raw_store: StoreUnderTest,
        memory_factory: MemoryFactory,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Neither a repr nor a log shows the password of the URL, a key or a value (C23)."""
        caplog.set_level(logging.DEBUG)
        _call_each_method(raw_store)
        shown = f"{caplog.text} {raw_store.store!r} {raw_store.store}"
        if isinstance(self.backend, str):
            backend = memory_factory.call_hook(memory_factory.settings())
            shown += f"{backend!r} {backend} {backend.identity!r}"
        for secret in (VALUE.decode(), OTHER.decode(), KEY, *memory_factory.passwords()):
            assert secret not in shown


def _call_each_method(raw_store: StoreUnderTest) -> None:
    address = raw_store.address(KEY)
    raw_store.write(address, VALUE, 60_000)
    assert raw_store.compare_and_set(address, VALUE, OTHER) is True
    assert raw_store.compare_and_set(address, VALUE, VALUE) is False
    assert raw_store.read_many([address]) == [OTHER]
    assert raw_store.touch(address, 60_000) is True
    assert raw_store.keys(raw_store.space()) == [KEY]
    assert raw_store.remove(address) is True
    raw_store.write_many([(address, VALUE)])
    assert raw_store.read(address) == VALUE
