"""Behind a transaction pooler: prepare=off leaves nothing on the sessions that others share."""

from pathlib import Path

import psycopg
import pytest
from services.proxy import Proxy

from fibonacci.errors import StorageError

from .speaking import VERBS, A, Attempt, Opening


def test_nothing_is_left(opening: Opening, postgres_proxy: Proxy) -> None:
    """Without prepared statements no statement has a name, and no setting is changed."""
    Attempt(opening(postgres_proxy.url), "write")  # makes the table, whose parts have such names
    store = opening(postgres_proxy.url, prepare=False)
    with postgres_proxy.record() as traffic:
        for verb in VERBS:
            assert Attempt(store, verb).fault is None
    assert b"fibonacci_" not in traffic.requests
    assert b"enable_seqscan" not in traffic.requests


@pytest.mark.parametrize("prepare", [True, False])
def test_others_find_nothing(opening: Opening, pgbouncer_url: str, prepare: bool) -> None:
    """No setting of ours is left for others to whom the pooler gives the same session."""
    store = opening(pgbouncer_url, prepare=prepare)
    for verb in ("write", "read"):
        Attempt(store, verb)
    names = ["statement_timeout", "enable_seqscan", "enable_bitmapscan"]
    with psycopg.connect(pgbouncer_url, autocommit=True, prepare_threshold=None) as other:
        for _ in range(10):
            found = [other.execute(f"SHOW {name}".encode()).fetchone() for name in names]
            assert found == [("0",), ("on",), ("on",)]


def test_settings_of_a_session(opening: Opening, postgres_proxy: Proxy) -> None:
    """Without a pooler each session has them from its beginning, beside those of the URL."""
    store = opening(f"{postgres_proxy.url}?options=-c%20enable_seqscan%3Don", timeout=7)
    with postgres_proxy.record() as traffic:
        store.read(A)
    assert b"-c statement_timeout=7000 -c enable_seqscan=off" in traffic.requests
    assert b"-c enable_bitmapscan=off -c enable_seqscan=on\0" in traffic.requests


def test_options_of_a_service(
    opening: Opening,
    postgres_proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Options of a service file are not replaced by ours."""
    (tmp_path / "services").write_text("[memory]\noptions=-c geqo=off\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    with postgres_proxy.record() as traffic:
        opening(f"{postgres_proxy.url}?service=memory").read(A)
    assert b"options\0-c geqo=off\0" in traffic.requests


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


def test_another_tables_statements(opening: Opening, pgbouncer_url: str) -> None:
    """A statement that another table's store left on a session is never taken for one's own."""
    apples, pears = (opening(pgbouncer_url, table=name) for name in ("apples", "pears"))
    apples.write(A, b"apples", None)
    apples.read(A)
    with psycopg.connect(pgbouncer_url, prepare_threshold=None) as other:
        other.execute("SELECT")  # holds that session, so that another one is made
        pears.write(A, b"pears", None)
        pears.read(A)
    asked = Attempt(pears, "read", A)
    assert asked.answer == b"pears" or "add prepare=off" in str(asked.fault)


def test_restarted_session(opening: Opening, pgbouncer_url: str) -> None:
    """With prepare=off the same pooler serves many stores over its two sessions."""
    stores = [opening(pgbouncer_url, prepare=False) for _ in range(6)]
    for number, one in enumerate(stores * 5):
        one.write(A, b"%d" % number, None)
        assert one.read(A) == b"%d" % number
