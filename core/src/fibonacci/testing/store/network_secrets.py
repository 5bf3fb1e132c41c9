"""Passwords and values while the network, or the password, is at fault."""

import logging
import re
from itertools import product
from time import monotonic
from typing import Any
from urllib.parse import quote

import pytest

from fibonacci import BackendUnavailableError, OutcomeUnknownError, StorageError
from fibonacci.plugin import StoreURL
from fibonacci.testing.applicability import not_applicable
from fibonacci.testing.network import Cut, Proxy, Refuse, lost_reply, lost_request
from fibonacci.testing.store.fixtures import MemoryFactory, StoreUnderTest
from fibonacci.testing.store.network_fixtures import (
    DEADLINE,
    NetworkFixtures,
    ProxiedStore,
    store_of,
)
from fibonacci.testing.tracebacks import traceback_text

VALUE = "a-value-of-ada"
PASSWORD = "hunter2"  # noqa: S105 - a wrong one
_PASSWORD = re.compile(r"(?<=://)([^/?:]*):[^/?]*(?=@)")


class NetworkSecrecyTests(NetworkFixtures):
    """C23."""

    @pytest.mark.parametrize("more", ["", "-ä€😀\\'\""], ids=["plain", "any"])
    def test_wrong_password(
        self, memory_factory: MemoryFactory, raw_store: StoreUnderTest, more: str
    ) -> None:
        """A wrong password, of any characters, is a lasting error, which does not show it (C23).

        If none is raised, look whether ``Backend.identity`` differs where passwords do.
        """
        url = _with_wrong_password(memory_factory.config["connection_url"], PASSWORD + more)
        store = store_of(memory_factory.new_workflow(connection_url=url), memory_factory)
        with pytest.raises(StorageError) as caught:
            store.read(raw_store.address("k"))
        assert not isinstance(caught.value, BackendUnavailableError | OutcomeUnknownError)
        assert PASSWORD not in traceback_text(caught.value)

    def test_faults_show_no_password(
        self,
        memory_factory: MemoryFactory,
        raw_store: StoreUnderTest,
        proxied_url: str,
        proxy: Proxy,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Errors and logs of a connection that breaks at first show no password (C23)."""
        caplog.set_level(logging.NOTSET)
        url = _with_wrong_password(proxied_url, PASSWORD)
        store = store_of(memory_factory.new_workflow(connection_url=url), memory_factory)
        for fault in (lost_request(), lost_reply(), Cut(replies=3), Refuse()):
            with proxy.fault(fault), pytest.raises(StorageError) as caught:
                store.read(raw_store.address("k"), deadline=monotonic() + DEADLINE)
            assert PASSWORD not in traceback_text(caught.value)
        assert PASSWORD not in caplog.text + repr(store.store)

    def test_faults_show_no_value(
        self,
        raw_store: StoreUnderTest,
        proxied_store: ProxiedStore,
        proxy: Proxy,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Errors and logs of a connection that breaks show no value (C23)."""
        caplog.set_level(logging.NOTSET)
        at, data = raw_store.address("k"), f'"{VALUE}"'.encode()
        outcomes: list[Any] = []
        calls = {"read": (at,), "compare_and_set": (at, data, data, None)}
        faults = (lost_request(), lost_reply(), Cut(replies=3), Refuse())
        for fault, kind, method in product(faults, proxied_store.kinds, calls):
            raw_store.write(at, data)
            proxied_store.connect(at)
            with proxy.fault(fault):
                outcomes.append(
                    proxied_store.outcome(kind, method, *calls[method], deadline=DEADLINE)
                )
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        text = "\n".join([*map(traceback_text, errors), caplog.text, repr(proxied_store.store)])
        assert VALUE not in text
        assert data.hex() not in text


def _with_wrong_password(url: str | None, password: str) -> str:
    if not url or not StoreURL.parse(url).password:
        not_applicable("the URL has no password")
    return _PASSWORD.sub(lambda found: f"{found[1]}:{quote(password, safe='')}", url)
