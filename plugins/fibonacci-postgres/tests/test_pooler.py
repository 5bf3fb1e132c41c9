"""Transaction poolers: prepare=off changes nothing on the sessions that clients share."""

from pathlib import Path

import psycopg
import pytest
from services.proxy import Proxy

from fibonacci.errors import StorageError

from .stores import VERBS, A, Attempt, OpenStore


def test_prepare_off_names_no_statement(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """With prepare=off no statement is named, and no setting is changed."""
    Attempt(
        open_store(postgres_proxy.url), "write"
    )  # creates the table, whose index has such a name
    store = open_store(postgres_proxy.url, prepare=False)
    with postgres_proxy.record() as traffic:
        for verb in VERBS:
            assert Attempt(store, verb).error is None
    assert b"fibonacci_" not in traffic.requests
    assert b"enable_seqscan" not in traffic.requests


@pytest.mark.parametrize("prepare", [True, False])
def test_settings_do_not_leak_to_other_clients(
    open_store: OpenStore, pgbouncer_url: str, prepare: bool
) -> None:
    """Other clients of the pooler's sessions get none of our settings."""
    store = open_store(pgbouncer_url, prepare=prepare)
    for verb in ("write", "read"):
        Attempt(store, verb)
    names = ["statement_timeout", "enable_seqscan", "enable_bitmapscan"]
    with psycopg.connect(pgbouncer_url, autocommit=True, prepare_threshold=None) as client:
        for _ in range(10):
            found = [client.execute(f"SHOW {name}".encode()).fetchone() for name in names]
            assert found == [("0",), ("on",), ("on",)]


def test_session_starts_with_its_settings(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """Without a pooler a session starts with our settings, followed by those of the URL."""
    store = open_store(f"{postgres_proxy.url}?options=-c%20enable_seqscan%3Don", timeout=7)
    with postgres_proxy.record() as traffic:
        store.read(A)
    assert b"-c statement_timeout=7000 -c enable_seqscan=off" in traffic.requests
    assert b"-c enable_bitmapscan=off -c enable_seqscan=on\0" in traffic.requests


def test_options_of_a_service_file_are_not_replaced(
    open_store: OpenStore,
    postgres_proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Our options do not replace those of a service file."""
    (tmp_path / "services").write_text("[memory]\noptions=-c geqo=off\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    with postgres_proxy.record() as traffic:
        open_store(f"{postgres_proxy.url}?service=memory").read(A)
    assert b"options\0-c geqo=off\0" in traffic.requests


def test_each_verb_is_one_round_trip(open_store: OpenStore, postgres_proxy: Proxy) -> None:
    """Each verb is one round trip, prepared or not."""
    for prepare in (True, False):
        store = open_store(postgres_proxy.url, prepare=prepare)
        for verb in VERBS:
            Attempt(store, verb)
        for verb in VERBS:
            with postgres_proxy.record() as traffic:
                assert Attempt(store, verb).error is None
            assert traffic.round_trips == 1, verb


def test_lost_prepared_statement_hints_at_prepare_off(
    open_store: OpenStore, pgbouncer_url: str
) -> None:
    """If a pooler loses prepared statements, the error says to add prepare=off."""
    stores = [open_store(pgbouncer_url) for _ in range(4)]
    errors = [Attempt(store, verb).error for _ in range(3) for store in stores for verb in VERBS]
    messages = {str(error) for error in errors if type(error) is StorageError}
    assert messages
    assert all("add prepare=off to the connection URL" in message for message in messages)


def test_statements_of_another_table_are_not_used(
    open_store: OpenStore, pgbouncer_url: str
) -> None:
    """A store never executes a statement that was prepared for another table."""
    apples, pears = (open_store(pgbouncer_url, table=name) for name in ("apples", "pears"))
    apples.write(A, b"apples", None)
    apples.read(A)
    with psycopg.connect(pgbouncer_url, prepare_threshold=None) as client:
        client.execute("SELECT")  # holds that session, so that the pooler opens another
        pears.write(A, b"pears", None)
        pears.read(A)
    attempt = Attempt(pears, "read", A)
    assert attempt.result == b"pears" or "add prepare=off" in str(attempt.error)


def test_many_stores_share_two_sessions(open_store: OpenStore, pgbouncer_url: str) -> None:
    """With prepare=off many stores share a pooler's two sessions."""
    stores = [open_store(pgbouncer_url, prepare=False) for _ in range(6)]
    for number, store in enumerate(stores * 5):
        store.write(A, b"%d" % number, None)
        assert store.read(A) == b"%d" % number
