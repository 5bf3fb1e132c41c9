"""Behind a transaction pooler: prepare=off leaves nothing on the sessions that others share."""

from pathlib import Path

import psycopg
import pytest
from services.proxy import Proxy

from fibonacci.errors import StorageError

from .stores import VERBS, A, Attempt, OpenStore


def test_nothing_is_left(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """Without prepared statements no statement has a name, and no setting is changed."""
    Attempt(open_store(postgres_proxy.url), "write")  # makes the table, whose parts have such names
    store = open_store(postgres_proxy.url, prepare=False)
    with postgres_proxy.record() as traffic:
        for verb in VERBS:
            assert Attempt(store, verb).error is None
    assert b"fibonacci_" not in traffic.requests
    assert b"enable_seqscan" not in traffic.requests


@pytest.mark.parametrize("prepare", [True, False])
def test_others_find_nothing(open_store: OpenStore, pgbouncer_url: str, prepare: bool) -> None:
    """No setting of ours is left for others to whom the pooler gives the same session."""
    store = open_store(pgbouncer_url, prepare=prepare)
    for verb in ("write", "read"):
        Attempt(store, verb)
    names = ["statement_timeout", "enable_seqscan", "enable_bitmapscan"]
    with psycopg.connect(pgbouncer_url, autocommit=True, prepare_threshold=None) as other:
        for _ in range(10):
            found = [other.execute(f"SHOW {name}".encode()).fetchone() for name in names]
            assert found == [("0",), ("on",), ("on",)]


def test_settings_of_a_session(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """Without a pooler each session has them from its beginning, beside those of the URL."""
    store = open_store(f"{postgres_proxy.url}?options=-c%20enable_seqscan%3Don", timeout=7)
    with postgres_proxy.record() as traffic:
        store.read(A)
    assert b"-c statement_timeout=7000 -c enable_seqscan=off" in traffic.requests
    assert b"-c enable_bitmapscan=off -c enable_seqscan=on\0" in traffic.requests


def test_options_of_a_service(
    open_store: OpenStore,
    postgres_proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options of a service file are not replaced by ours."""
    (tmp_path / "services").write_text("[memory]\noptions=-c geqo=off\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    with postgres_proxy.record() as traffic:
        open_store(f"{postgres_proxy.url}?service=memory").read(A)
    assert b"options\0-c geqo=off\0" in traffic.requests


def test_one_round_trip(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """Each verb is one round trip, prepared or not."""
    for prepare in (True, False):
        store = open_store(postgres_proxy.url, prepare=prepare)
        for verb in VERBS:
            Attempt(store, verb)
        for verb in VERBS:
            with postgres_proxy.record() as traffic:
                assert Attempt(store, verb).error is None
            assert traffic.round_trips == 1, verb


def test_prepared_through_the_pooler(open_store: OpenStore, pgbouncer_url: str) -> None:
    """A pooler that loses prepared statements is recognised, and the error says what to do."""
    stores = [open_store(pgbouncer_url) for _ in range(4)]
    errors = [Attempt(store, verb).error for _ in range(3) for store in stores for verb in VERBS]
    messages = {str(error) for error in errors if type(error) is StorageError}
    assert messages
    assert all("add prepare=off to the connection URL" in message for message in messages)


def test_another_tables_statements(open_store: OpenStore, pgbouncer_url: str) -> None:
    """A statement that another table's store left on a session is never taken for one's own."""
    apples, pears = (open_store(pgbouncer_url, table=name) for name in ("apples", "pears"))
    apples.write(A, b"apples", None)
    apples.read(A)
    with psycopg.connect(pgbouncer_url, prepare_threshold=None) as other:
        other.execute("SELECT")  # holds that session, so that another one is made
        pears.write(A, b"pears", None)
        pears.read(A)
    attempt = Attempt(pears, "read", A)
    assert attempt.result == b"pears" or "add prepare=off" in str(attempt.error)


def test_restarted_session(open_store: OpenStore, pgbouncer_url: str) -> None:
    """With prepare=off the same pooler serves many stores over its two sessions."""
    stores = [open_store(pgbouncer_url, prepare=False) for _ in range(6)]
    for number, store in enumerate(stores * 5):
        store.write(A, b"%d" % number, None)
        assert store.read(A) == b"%d" % number
