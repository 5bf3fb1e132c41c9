"""Behind a transaction pooler: prepare=off leaves nothing on the sessions that others share."""

from collections.abc import Mapping
from typing import Any

import pytest
from modes import mostly
from services.pgbouncer import PgBouncer
from services.proxy import Proxy

from fibonacci.errors import StorageError
from fibonacci.testing import StoreContract

from .speaking import VERBS, A, Attempt, Opening


class TestPooled(StoreContract):
    backend = "postgres"
    options: Mapping[str, Any] = {"prepare": False}
    voices = mostly("mixed")

    @pytest.fixture
    def url(self, pgbouncer_server: PgBouncer) -> str:
        return pgbouncer_server.url


def test_nothing_is_left(opening: Opening, postgres_proxy: Proxy) -> None:
    """Without prepared statements no statement has a name, and no setting is changed."""
    Attempt(opening(postgres_proxy.url), "write")  # makes the table, whose parts have such names
    store = opening(postgres_proxy.url, prepare=False)
    with postgres_proxy.record() as traffic:
        for verb in VERBS:
            assert Attempt(store, verb).fault is None
    assert b"fibonacci_" not in traffic.requests
    assert b"set_config" not in traffic.requests


def test_one_round_trip(opening: Opening, postgres_proxy: Proxy) -> None:
    """Each verb is one round trip, prepared or not."""
    for prepare in (True, False):
        store = opening(postgres_proxy.url, prepare=prepare)
        for verb in VERBS:
            Attempt(store, verb)
        for verb in VERBS:
            with postgres_proxy.record() as traffic:
                assert Attempt(store, verb).fault is None
            assert traffic.round_trips == 1, verb


def test_prepared_through_the_pooler(opening: Opening, pgbouncer_url: str) -> None:
    """A pooler that loses prepared statements is recognised, and the error says what to do."""
    stores = [opening(pgbouncer_url) for _ in range(4)]
    faults = [Attempt(one, verb).fault for _ in range(3) for one in stores for verb in VERBS]
    told = {str(fault) for fault in faults if type(fault) is StorageError}
    assert told
    assert all("add prepare=off to the connection URL" in text for text in told)


def test_restarted_session(opening: Opening, pgbouncer_url: str) -> None:
    """With prepare=off the same pooler serves many stores over its two sessions."""
    stores = [opening(pgbouncer_url, prepare=False) for _ in range(6)]
    for number, one in enumerate(stores * 5):
        one.write(A, b"%d" % number, None)
        assert one.read(A) == b"%d" % number
