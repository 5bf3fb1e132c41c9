"""What the logger ``fibonacci.postgres`` reports, at which level; never a secret, a key, a user."""

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from log_messages import CANARY, take_messages, use_canaries
from services.databases import Databases
from services.proxy import Proxy

from fibonacci import MemoryConfig, Workflow, generate_key
from fibonacci.testing.network import BlackHole, Refuse, lost_reply
from fibonacci.testing.threads import run_concurrently
from fibonacci_postgres import pool

from .stores import (
    A,
    Attempt,
    OpenStore,
    StoreClient,
    create_backend,
    database_name,
    insert_expired,
    reject_deletes,
    wait_until,
)

PASSWORD = "canary-password"

Messages = Callable[[str], list[str]]


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Messages:
    """Returns the messages of ``fibonacci.postgres`` of one level, and forgets all."""
    caplog.set_level(logging.DEBUG)
    return partial(take_messages, caplog, "fibonacci.postgres")


def test_connections_and_tables_are_logged(
    open_store: OpenStore, postgres_url: str, postgres_server: Databases, messages: Messages
) -> None:
    """A new connection is logged at DEBUG, a new table at INFO, and requests are not."""
    client = open_store(postgres_url)
    client.read(A)
    assert messages("INFO") == ['created the table "fibonacci"']
    client.read(A)
    assert messages("DEBUG") == []
    other = open_store(postgres_url)
    other.read(A)
    assert messages("DEBUG") == [
        f"connected to PostgreSQL at 127.0.0.1, port {postgres_server.port}"
    ]
    postgres_server.execute("DROP TABLE fibonacci", database_name(postgres_url))
    Attempt(client, "read", A)
    assert messages("INFO") == ['the table "fibonacci" was dropped']


def test_expired_connections_are_logged(
    open_store: OpenStore, postgres_url: str, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was idle for too long is logged at DEBUG when it is closed."""
    monkeypatch.setattr(pool, "IDLE_TIMEOUT", 0.0)
    client = open_store(postgres_url)
    client.read(A)
    client.read(A)
    idle = "closed a connection to PostgreSQL that was idle"
    assert any(text.startswith(idle) for text in messages("DEBUG"))


def test_abandoned_statements_are_logged(
    open_store: OpenStore, postgres_proxy: Proxy, messages: Messages
) -> None:
    """A statement that is cancelled after its caller has left is logged at DEBUG."""
    client = open_store(postgres_proxy.url)
    client.read(A)
    with postgres_proxy.fault(BlackHole()):
        Attempt(client, "read", A, timeout=0.2)
    assert "cancelling a statement whose caller has left" in messages("DEBUG")


def test_failover_to_another_host_is_logged(
    open_store: OpenStore, postgres_url: str, postgres_server: Databases, messages: Messages
) -> None:
    """A connection to another server than the last one is logged at INFO."""
    with Proxy(postgres_server) as first:
        client = open_store(with_hosts(postgres_url, first.port, postgres_server.port))
        client.read(A)
        messages("INFO")
        first.begin(Refuse())
        found: list[str] = []

        def has_moved() -> bool:
            Attempt(client, "read", A)
            found.extend(messages("INFO"))
            return bool(found)

        wait_until(has_moved)
    assert found == [
        f"connected to PostgreSQL at 127.0.0.1, port {postgres_server.port}; the last connection "
        f"was to 127.0.0.1, port {first.port}"
    ]


def with_hosts(url: str, *ports: int) -> str:
    """Return a URL with several ports of this machine as its hosts."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return re.sub(r"127\.0\.0\.1:\d+", hosts, url)


def test_skipped_hosts_are_logged(
    open_store: OpenStore, postgres_url: str, postgres_server: Databases, messages: Messages
) -> None:
    """A host that fails while others follow is logged at DEBUG, at each new connection."""
    open_store(postgres_url).read(A)
    client = open_store(with_hosts(postgres_url, 1, postgres_server.port))
    for _ in range(2):
        messages("DEBUG")
        client.close()
        client.read(A)
        skipped, connected = messages("DEBUG")
        assert skipped.startswith("skipping 127.0.0.1, port 1: ")
        assert connected == f"connected to PostgreSQL at 127.0.0.1, port {postgres_server.port}"


def test_random_hosts_are_logged(
    open_store: OpenStore,
    postgres_url: str,
    postgres_server: Databases,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With load_balance_hosts=random the change from host to host is logged at DEBUG."""
    open_store(postgres_url).read(A)
    caplog.set_level(logging.DEBUG)
    with Proxy(postgres_server) as proxy:
        url = with_hosts(postgres_url, proxy.port, postgres_server.port)
        client = open_store(f"{url}?load_balance_hosts=random")

        def has_moved() -> bool:
            client.close()
            client.read(A)
            return "; the last connection was to " in caplog.text

        wait_until(has_moved)
    assert {level for _, level, _ in caplog.record_tuples} == {logging.DEBUG}


def test_new_table_is_logged_once(
    open_store: OpenStore, postgres_url: str, messages: Messages
) -> None:
    """Of concurrent callers that find no table, only the one that creates it logs that."""
    clients = [open_store(postgres_url) for _ in range(10)]
    run_concurrently([partial(client.read, A) for client in clients])
    assert messages("INFO") == ['created the table "fibonacci"']


def test_dropped_table_is_logged_once(postgres_url: str, messages: Messages) -> None:
    """Of concurrent calls that fail because the table was dropped, only the first logs that."""
    client = StoreClient("sync", create_backend(postgres_url))
    client.read(A)
    messages("INFO")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        waiting = "SELECT FROM pg_locks WHERE relation = 'fibonacci'::regclass AND NOT granted"

        def drop() -> None:
            wait_until(lambda: connection.execute(waiting).rowcount == 5)
            connection.execute("DROP TABLE fibonacci")
            connection.commit()

        run_concurrently([partial(Attempt, client, "read", A)] * 5, meanwhile=drop)
    assert messages("INFO") == ['the table "fibonacci" was dropped']
    client.shut_down()


def test_sweeps_are_logged(open_store: OpenStore, postgres_url: str, messages: Messages) -> None:
    """Expired records that were deleted are counted at DEBUG."""
    open_store(postgres_url).read(A)
    insert_expired(postgres_url, 10)
    messages("DEBUG")
    open_store(postgres_url).write(A, b"1", None)
    assert messages("DEBUG")[-1] == "expired records deleted: 10"


def test_failed_sweeps_are_logged(
    open_store: OpenStore, postgres_url: str, messages: Messages
) -> None:
    """A sweep that fails is logged at INFO."""
    open_store(postgres_url).read(A)
    insert_expired(postgres_url, 10)
    reject_deletes(postgres_url)
    messages("INFO")
    open_store(postgres_url).write(A, b"1", None)
    [text] = messages("INFO")
    assert text.startswith("expired records were not deleted: ")


FAULTS = [lost_reply(), BlackHole()]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_logs_hold_no_secret(
    fault: Any, postgres_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Under faults no log holds a value, a record's key, a user, an encryption key or password."""
    caplog.set_level(logging.DEBUG)
    key = generate_key()
    url = postgres_proxy.url.replace("postgres@", f"postgres:{PASSWORD}@")
    for options in ({"encrypt_values": True, "encryption_key": key}, {}):
        settings: dict[str, Any] = {"timeout": 0.3, "key_prefix": "t:logging:", **options}
        with Workflow("w", MemoryConfig("postgres", url, **settings)) as workflow:
            use_canaries(workflow.memory, postgres_proxy.fault(fault))
    assert "fibonacci.postgres" in {record.name for record in caplog.records}
    assert all(secret not in caplog.text for secret in (CANARY, PASSWORD, key))
