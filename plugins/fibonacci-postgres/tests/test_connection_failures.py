"""Failed connection attempts: permanent errors are raised at once, transient ones retried."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from services.databases import Databases

from fibonacci import MemoryConfig, Workflow
from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin import run_sync
from fibonacci_postgres.connect import connect
from fibonacci_postgres.connection import Connection
from fibonacci_postgres.driver import find_error_verbosity_setter
from fibonacci_postgres.faults import parse_connection_failure

from .rejecting_server import rejecting_server
from .stores import Attempt, StoreClient, create_backend

PERMANENT = [
    ("28P01", 'password authentication failed for user "me"', "FATAL"),
    ("28P01", "Passwort-Authentifizierung für Benutzer »me« fehlgeschlagen", "SCHWERWIEGEND"),
    ("28P01", "用户 me Password 认证失败", "致命错误"),
    ("28P01", "password doesn't match", "FATAL"),
    ("28P01", "This RDS Proxy has no credentials for the role me", "FATAL"),
    ("08P01", "no such user: me", "FATAL"),
    ("08P01", "no such database: db", "FATAL"),
    ("XX000", "Tenant or user not found", "FATAL"),
    ("28000", "kein pg_hba.conf-Eintrag für Host »10.0.0.1«", "FATAL"),
    ("3D000", 'database "starting up, timeout" does not exist', "FATAL"),
    ("58000", "No pool configured for database: db, user: me", "FATAL"),
]
TRANSIENT = [
    ("57P03", "das Datenbanksystem startet", "FATAL"),
    ("53300", 'too many connections for role "invalidation_service"', "FATAL"),
    ("53300", "zu viele Verbindungen für Rolle »certificate«", "FATAL"),
    ("57P01", "terminating connection due to administrator command", "FATAL"),
    ("08P01", "no more connections allowed (max_client_conn)", "FATAL"),
    ("08P01", "server login has been failing, try again later (server_login_retry)", "FATAL"),
    ("XX000", "(EMAXCONN) max client connections reached, limit: 200", "FATAL"),
    ("08006", "the compute node is not there yet", "FATAL"),
    ("XX000", "MaxClientsInSessionMode: max clients reached", "FATAL"),
    ("XX000", "Authentication query failed: connection to the database not available", "FATAL"),
    ("XX000", "Timed-out waiting to acquire database connection", "FATAL"),
    ("58000", "could not get connection from the pool: AllServersDown", "FATAL"),
]


@pytest.mark.parametrize(("code", "text", "severity"), PERMANENT)
def test_permanent_rejection_is_tried_once(code: str, text: str, severity: str) -> None:
    """A permanent rejection costs one login per call, in any language and wording."""
    with rejecting_server(code, text, severity) as server:
        url = f"postgresql://me:wrong@127.0.0.1:{server.port}/db"
        memory = Workflow("w", MemoryConfig(backend="postgres", connection_url=url)).memory
        with pytest.raises(StorageError) as caught:
            memory.get("k")
        assert server.logins == 1
    assert type(caught.value) is StorageError
    assert str(caught.value).endswith(f"/db: {text} (SQLSTATE {code})")


@pytest.mark.parametrize(("code", "text", "severity"), TRANSIENT)
def test_transient_rejection_is_unavailable(code: str, text: str, severity: str) -> None:
    """A transient rejection is a BackendUnavailableError, whatever names its message contains."""
    with rejecting_server(code, text, severity) as server:
        store = StoreClient(
            "sync", create_backend(f"postgresql://me:secret@127.0.0.1:{server.port}/db")
        )
        assert type(Attempt(store, "read").error) is BackendUnavailableError


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("08P01", "unsupported startup parameter: options"),
        ("08P01", "unsupported startup parameter in options: statement_timeout"),
        ("0A000", "RDS Proxy currently doesn't support command-line Options."),
        ("XX000", "Startup option not allowed, try again without: statement_timeout"),
    ],
)
def test_rejected_options_are_left_out(
    code: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Session options that a pooler rejects, in any wording, are left out from then on.

    The log says so once.
    """
    caplog.set_level(logging.INFO, "fibonacci.postgres")
    with rejecting_server(code, text) as server:
        store = StoreClient(
            "sync", create_backend(f"postgresql://me:secret@127.0.0.1:{server.port}/db")
        )
        for expected in (2, 3):
            assert type(Attempt(store, "read").error) is StorageError
            assert server.logins == expected
    assert [b"enable_seqscan" in startup for startup in server.startups] == [True, False, False]
    [record] = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("a pooler rejected the options of the session")


def test_rejected_options_are_left_out_by_concurrent_callers() -> None:
    """Concurrent callers leave out rejected options, and don't mistake them for the URL's."""
    with rejecting_server("08P01", "unsupported startup parameter: options") as server:
        store = StoreClient(
            "sync", create_backend(f"postgresql://me:secret@127.0.0.1:{server.port}/db")
        )
        together = Barrier(2)
        first, second = Connection(), Connection()
        executor = store.store._executor

        async def connect_together(*args: Any) -> None:
            together.wait(20)
            await connect(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fibonacci_postgres.executor.connect", connect_together)
            with ThreadPoolExecutor() as threads:
                ended = [
                    threads.submit(run_sync, executor._connect(connection, time.monotonic() + 20))
                    for connection in (first, second)
                ]
        assert all("unsupported" in str(future.exception()) for future in ended)
    assert sorted(b"enable_seqscan" in startup for startup in server.startups) == [
        False,
        False,
        True,
        True,
    ]


def test_role_limit_differs_from_forbidden_login(
    postgres_server: Databases, postgres_url: str
) -> None:
    """A role with too many connections is unavailable; one that may not log in is an error."""
    postgres_server.execute("DROP ROLE IF EXISTS invalid_certificate")
    postgres_server.execute("CREATE ROLE invalid_certificate LOGIN CONNECTION LIMIT 0")
    url = postgres_url.replace("postgres@", "invalid_certificate@")
    config = MemoryConfig(backend="postgres", connection_url=url, timeout=0.2)
    with pytest.raises(BackendUnavailableError, match="53300"):
        Workflow("w", config).memory.get("k")
    postgres_server.execute("ALTER ROLE invalid_certificate NOLOGIN")
    with pytest.raises(StorageError, match="28000"):
        Workflow("w", config).memory.get("k")
    postgres_server.execute("DROP ROLE invalid_certificate")


def test_one_transient_error_of_two_is_transient() -> None:
    """Of two errors, with TLS and without, one transient error makes the failure transient."""
    text = 'connection to server at "h", port 1 failed: FATAL:  {}: no\nLOCATION:  x, y.c:1\n'
    full, wrong = text.format("53300"), text.format("28P01")
    assert parse_connection_failure(wrong + wrong, needs_password=True).is_permanent
    assert (
        parse_connection_failure(wrong + wrong, needs_password=True).message
        == "no (SQLSTATE 28P01)"
    )
    assert not parse_connection_failure(full + wrong, needs_password=False).is_permanent


@pytest.mark.parametrize(
    ("text", "is_permanent"),
    [
        ('connection to server at "invalid-certificate", port 1 failed: server closed it', False),
        ('connection to server at "h", port 1 failed: Connection refused', False),
        (
            'connection to server at "h", port 1 failed: FATAL:  password authentication failed',
            True,
        ),
        ('invalid sslmode value: "x"', True),
        ('private key file "k" has group or world access', True),
    ],
)
def test_messages_of_libpq(text: str, is_permanent: bool) -> None:
    """Messages of libpq are classified by their words, and not by a host's name in them."""
    assert parse_connection_failure(text, needs_password=False).is_permanent is is_permanent


@pytest.mark.parametrize("text", ["no such user: {}", 'database "{}" is disabled', "no: „{}“"])
def test_quoted_names_are_ignored(text: str) -> None:
    """A quoted user or database name never makes a rejection transient."""
    name = "closing timeout"
    message = f"failed: FATAL:  08P01: {text.format(name)}\nLOCATION:  x, y.c:1\n"
    assert parse_connection_failure(message, needs_password=False, names=("me", name)).is_permanent


def test_unreachable_libpq_is_ignored() -> None:
    """If libpq's function can't be found, SQLSTATEs are not enabled and nothing fails."""
    assert find_error_verbosity_setter(__file__)(None, 2) == 0
