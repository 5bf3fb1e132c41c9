"""Outcomes of statements: which error each response of the server becomes."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from services import postgres
from services.databases import Databases
from services.postgres import Postgres
from services.proxy import Proxy

from fibonacci import MemoryConfig, Workflow
from fibonacci.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    StorageError,
)
from fibonacci.testing.network import lost_reply, lost_request

from .stores import SPACE, VERBS, A, Attempt, B, OpenStore, StoreClient, wait_until


@pytest.fixture
def server(postgres_url: str) -> Iterator[psycopg.Connection]:
    """The test's own connection."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def store(open_store: OpenStore, postgres_url: str) -> StoreClient:
    """A store with a record."""
    store = open_store(postgres_url)
    store.write(A, b"old", None)
    return store


TIMEOUT = 0.6
GRACE = 0.5
"""Seconds beyond the deadline that a call may take (C18)."""
PLENTY = 20.0
"""A timeout in seconds that no call reaches."""

TRANSIENT = ["40001", "40P01", "53100", "53200", "55P03", "57014", "57P03", "58030", "25006"]
PERMANENT = ["23514", "22000", "XX000", "P0001", "42501"]


UNCERTAIN = ["08006", "08P01", "40003"]


def expected_error(code: str) -> type[StorageError]:
    """Return the error that a write raises for a SQLSTATE."""
    if code in UNCERTAIN:
        return OutcomeUnknownError
    return BackendUnavailableError if code in TRANSIENT else StorageError


@pytest.mark.parametrize("code", TRANSIENT + PERMANENT + UNCERTAIN)
def test_sqlstate_decides_the_error(
    server: psycopg.Connection, store: StoreClient, code: str
) -> None:
    """The SQLSTATE of a rejected write decides whether it is unavailable, an error or unknown."""
    function = f"""
        CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}', DETAIL = 'hunter2'; END $$"""
    server.execute(function.encode())
    server.execute(
        "CREATE TRIGGER reject BEFORE UPDATE ON fibonacci FOR EACH ROW EXECUTE FUNCTION reject()"
    )
    attempt = Attempt(store, "write")
    assert type(attempt.error) is expected_error(code)
    assert code in UNCERTAIN or f"no (SQLSTATE {code})" in str(attempt.error)
    assert "hunter2" not in str(attempt.error)
    assert store.read(A) == b"old"


def test_rejection_at_commit_is_not_applied(server: psycopg.Connection, store: StoreClient) -> None:
    """A statement that is rejected at its commit was not applied."""
    server.execute("""
        CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$""")
    server.execute("""
        CREATE CONSTRAINT TRIGGER reject AFTER UPDATE ON fibonacci
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION reject()""")
    assert type(Attempt(store, "write").error) is BackendUnavailableError
    assert store.read(A) == b"old"


def test_partly_written_batch_says_so(server: psycopg.Connection, store: StoreClient) -> None:
    """A batch of several statements that fails halfway has an unknown outcome (C17)."""
    server.execute("""
        CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$""")
    server.execute(
        "CREATE TRIGGER reject BEFORE INSERT ON fibonacci FOR EACH ROW "
        "WHEN (new.key = 'b') EXECUTE FUNCTION reject()"
    )
    large = b"x" * 3 * 2**20
    attempt = Attempt(store, "write_many", [(B, large), (A, large)], None)
    assert type(attempt.error) is OutcomeUnknownError
    assert "1 of 2 records were written" in str(attempt.error)
    assert store.read_many([A, B]) == [large, None]
    attempt = Attempt(store, "write_many", [(B, large)], None)
    assert type(attempt.error) is BackendUnavailableError


def test_session_ended_during_the_statement_is_not_applied(
    server: psycopg.Connection, store: StoreClient
) -> None:
    """If a session is ended during a statement, SQLSTATE 57P01 says that it was not applied."""
    server.execute("""
        CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END $$""")
    server.execute(
        "CREATE TRIGGER leave BEFORE UPDATE ON fibonacci FOR EACH ROW EXECUTE FUNCTION leave()"
    )
    attempt = Attempt(store, "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "57P01" in str(attempt.error)
    assert store.read(A) == b"old"


def test_session_ended_at_commit_is_unknown(server: psycopg.Connection, store: StoreClient) -> None:
    """If a session is ended between statement and commit, the outcome is unknown."""
    server.execute("""
        CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END $$""")
    server.execute("""
        CREATE CONSTRAINT TRIGGER leave AFTER UPDATE ON fibonacci
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION leave()""")
    assert type(Attempt(store, "write").error) is OutcomeUnknownError


def test_write_that_waits_for_a_lock_times_out(
    open_store: OpenStore, server: psycopg.Connection, store: StoreClient, postgres_url: str
) -> None:
    """A write that waits for a lock ends at the deadline, here and on the server."""
    impatient = open_store(postgres_url, timeout=TIMEOUT)
    impatient.read(A, deadline=time.monotonic() + PLENTY)
    with server.transaction():
        server.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        attempt = Attempt(impatient, "write", timeout=TIMEOUT)
        wait_until(lambda: not is_waiting_for_lock(server))
    assert attempt.error is not None
    assert TIMEOUT <= attempt.seconds < TIMEOUT + GRACE
    assert store.read(A) in (b"old", b"new")


def is_waiting_for_lock(server: psycopg.Connection) -> bool:
    """Return whether a backend waits for a lock in this database."""
    return bool(
        server.execute(
            "SELECT FROM pg_locks WHERE NOT granted AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    )


def test_shorter_statement_timeout_of_the_url_applies(
    open_store: OpenStore, postgres_url: str
) -> None:
    """A shorter statement_timeout in the URL's options applies."""
    url = f"{postgres_url}?options=-c%20statement_timeout%3D50&application_name=short"
    open_store(postgres_url).write(A, b"old", None)
    store = open_store(url, timeout=PLENTY)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("LOCK TABLE fibonacci IN ACCESS EXCLUSIVE MODE")
        attempt = Attempt(store, "write")
    assert type(attempt.error) is BackendUnavailableError
    assert "57014" in str(attempt.error)
    assert attempt.seconds < PLENTY / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("/fibonacci_test_", "/no_such_"), "does not exist"),
        (("//postgres@", "//nobody:hunter2@"), 'role "nobody" does not exist'),
        (("127.0.0.1", "127.0.0.1:1,127.0.0.1"), None),
    ],
)
def test_wrong_database_or_user_is_permanent(
    open_store: OpenStore, postgres_url: str, change: tuple[str, str], message: str | None
) -> None:
    """A wrong database or user is a StorageError at once, without a retry."""
    attempt = Attempt(open_store(postgres_url.replace(*change), timeout=PLENTY), "write")
    assert type(attempt.error) is (StorageError if message else type(None))
    assert message is None or message in str(attempt.error)
    assert attempt.seconds < PLENTY / 2


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[Postgres]:
    """A server with few connections, and with a role that needs a password."""
    with postgres.standalone(max_connections=10, superuser_reserved_connections=0) as server:
        server.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        server.execute("ALTER DATABASE postgres OWNER TO guarded")
        file = server.execute("SHOW hba_file")[0][0]
        line = "host all guarded all scram-sha-256"
        server.execute(
            f"COPY (SELECT '{line}' UNION ALL SELECT 'host all postgres all trust') TO '{file}'"
        )
        before = server.execute("SELECT pg_conf_load_time()")
        server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: server.execute("SELECT pg_conf_load_time()") != before)
        yield server


@pytest.mark.parametrize(
    ("login", "message"),
    [("guarded:right", ""), ("guarded:wrong", "authentication failed"), ("guarded", "password")],
)
def test_wrong_password_is_permanent(
    open_store: OpenStore, guarded_server: Postgres, login: str, message: str
) -> None:
    """A wrong or missing password is a StorageError that does not quote it."""
    attempt = Attempt(open_store(guarded_server.url.replace("postgres@", f"{login}@")), "write")
    assert type(attempt.error) is (StorageError if message else type(None))
    assert message in str(attempt.error or "")
    assert "wrong" not in str(attempt.error)


def test_full_server_is_unavailable(open_store: OpenStore, guarded_server: Postgres) -> None:
    """A server without free connections is unavailable, and works again when it has some."""
    store = open_store(guarded_server.url)
    others = []
    while len(others) < 20:
        try:
            others.append(psycopg.connect(guarded_server.url))
        except psycopg.OperationalError:
            break
    assert type(Attempt(store, "write").error) is BackendUnavailableError
    for other in others:
        other.close()
    wait_until(lambda: Attempt(store, "write").error is None)


def test_read_only_server_is_unavailable(open_store: OpenStore, postgres_url: str) -> None:
    """A write to a read-only server is a BackendUnavailableError; a read works."""
    open_store(postgres_url).write(A, b"old", None)
    store = open_store(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don")
    assert store.read(A) == b"old"
    assert type(Attempt(store, "write").error) is BackendUnavailableError


def test_target_session_attrs_is_respected(open_store: OpenStore, postgres_url: str) -> None:
    """target_session_attrs decides whether a primary is accepted."""
    open_store(postgres_url).write(A, b"old", None)
    assert open_store(f"{postgres_url}?target_session_attrs=primary").read(A) == b"old"
    assert open_store(f"{postgres_url}?target_session_attrs=prefer-standby").read(A) == b"old"
    attempt = Attempt(open_store(f"{postgres_url}?target_session_attrs=standby"), "read")
    assert type(attempt.error) is BackendUnavailableError
    assert "standby" in str(attempt.error)


@pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.long)])
def test_increments_with_lost_replies(
    postgres_server: Databases, postgres_proxy: Proxy, count: int
) -> None:
    """An increment with a lost request or reply is applied once or not at all (C16)."""
    postgres_server.execute("DROP TABLE IF EXISTS lossy")
    config = MemoryConfig(
        backend="postgres", connection_url=postgres_proxy.url, options={"table": "lossy"}
    )
    memory = Workflow("w", config).memory
    memory.set("n", 0)
    applied = {0: 0, 1: 0}
    for number in range(count):
        before = memory.get("n")
        lose = lost_reply if number % 2 else lost_request
        fault = lose(after=b"\0fibonacci_cas", times=1)
        with postgres_proxy.fault(fault), pytest.raises(OutcomeUnknownError):
            memory.increment("n")
        applied[memory.get("n") - before] += 1
    assert applied == {0: count // 2, 1: count // 2}


def test_stores_see_each_others_writes(
    open_store: OpenStore, postgres_url: str, store: StoreClient
) -> None:
    """Two stores on one table see each other's writes at once."""
    second = open_store(postgres_url)
    second.write(B, b"theirs", None)
    assert store.read(B) == b"theirs"
    assert store.scan(SPACE).keys == ["a", "b"]


def test_passed_deadline_sends_nothing(store: StoreClient) -> None:
    """A call whose deadline has passed sends nothing, and is a BackendUnavailableError."""
    for verb, arguments in VERBS.items():
        with pytest.raises(BackendUnavailableError, match="time"):
            getattr(store, verb)(*arguments, deadline=time.monotonic() - 1)
    assert store.read(A) == b"old"


def test_empty_batches(store: StoreClient) -> None:
    """An empty batch finds, changes and removes nothing."""
    assert store.read_many([]) == []
    store.write_many([], None)
    assert store.remove_many([]) == 0
    assert store.read(A) == b"old"
