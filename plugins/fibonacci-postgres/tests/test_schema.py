"""The table: created once by concurrent clients, found if it exists; create=off creates none."""

import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from services.databases import Databases

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci_postgres.__main__ import main
from fibonacci_postgres.schema import ADVISORY_LOCK, create_table_sql

from .stores import TIMEOUT, VERBS, A, Attempt, OpenStore, StorePerVerb, database_name

COLD_START = """
import os, sys
from fibonacci import MemoryConfig, Workflow
import fibonacci_postgres.executor  # once, not in each child
Workflow("w", MemoryConfig(backend="postgres", connection_url="postgresql://127.0.0.1/x"))
url, count = sys.argv[1], int(sys.argv[2])
reading, writing = os.pipe()
children = []
for number in range(count):
    if not (child := os.fork()):
        os.close(writing)
        os.read(reading, 1)  # returns when the parent closes its end
        memory = Workflow("w", MemoryConfig(backend="postgres", connection_url=url)).memory
        memory.set(f"k{number}", number)
        os._exit(memory.get(f"k{number}") != number)
    children.append(child)
os.close(reading)
os.close(writing)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def list_tables(server: Databases, url: str) -> list[list[str | None]]:
    """Return the tables of a database, with their comments."""
    return server.execute(
        "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        database_name(url),
    )


@pytest.fixture
def role(postgres_server: Databases) -> Iterator[str]:
    """A role that owns nothing."""
    postgres_server.execute("CREATE ROLE visitor LOGIN")
    yield "visitor"
    postgres_server.execute("DROP ROLE visitor")


def as_role(url: str, role: str) -> str:
    """Return the URL of the same database for another role."""
    return url.replace("//postgres@", f"//{role}@")


def test_first_operation_creates_the_table(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """The first operation creates the table, with the schema version in its comment."""
    assert open_store(postgres_url).read(A) is None
    assert list_tables(postgres_server, postgres_url) == [
        ["fibonacci", "fibonacci-postgres, schema 1"]
    ]


@pytest.mark.parametrize("verb", list(VERBS))
def test_any_verb_may_be_first(open_store: OpenStore, postgres_url: str, verb: str) -> None:
    """Any verb may be the first on an empty database."""
    assert Attempt(open_store(postgres_url), verb).error is None


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.long)])
def test_concurrent_processes_create_the_table_once(
    postgres_server: Databases, rounds: int
) -> None:
    """Sixteen processes may start at the same time on an empty database."""
    for _ in range(rounds):
        with postgres_server.database() as url:
            command = [sys.executable, "-c", COLD_START, url, "16"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            assert done.stdout == f"{[0] * 16}\n"


def test_concurrent_threads_create_the_table_once(open_store: OpenStore, postgres_url: str) -> None:
    """Threads with a store each may start together on an empty database, with any verb."""
    attempts = StorePerVerb(open_store, postgres_url).attempt(TIMEOUT)
    assert {verb: attempt.error for verb, attempt in attempts.items()} == dict.fromkeys(VERBS)


def test_tables_share_nothing(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """Stores with different tables, in any schema, share nothing."""
    postgres_server.execute('CREATE SCHEMA "Ours"', database_name(postgres_url))
    ours, theirs = open_store(postgres_url, table="Ours.memory"), open_store(postgres_url)
    ours.write(A, b"1", None)
    assert theirs.read(A) is None
    assert ours.read(A) == b"1"


def test_missing_schema_is_an_error(open_store: OpenStore, postgres_url: str) -> None:
    """A missing schema is not created, and the error says so."""
    attempt = Attempt(open_store(postgres_url, table="nowhere.memory"), "write")
    assert type(attempt.error) is StorageError
    assert "Create the schema first" in str(attempt.error)


def test_create_off_creates_nothing(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """With create=off no table is created, and the error says how to create it."""
    store = open_store(postgres_url, create=False)
    attempt = Attempt(store, "read")
    assert type(attempt.error) is StorageError
    assert "python -m fibonacci_postgres" in str(attempt.error)
    assert list_tables(postgres_server, postgres_url) == []
    postgres_server.execute(create_table_sql("fibonacci"), database_name(postgres_url))
    store.write(A, b"1", None)
    assert store.read(A) == b"1"


def test_sql_may_run_twice(postgres_server: Databases, postgres_url: str) -> None:
    """The printed SQL does nothing if the table exists."""
    for _ in range(2):
        postgres_server.execute(create_table_sql("fibonacci"), database_name(postgres_url))
    assert len(list_tables(postgres_server, postgres_url)) == 1


def test_role_without_create_uses_an_existing_table(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str, role: str
) -> None:
    """A role that owns nothing can use an existing table, with create on or off."""
    name = database_name(postgres_url)
    postgres_server.execute(create_table_sql("fibonacci"), name)
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON fibonacci TO {role}"
    postgres_server.execute(grant, name)
    for create in (True, False):
        store = open_store(as_role(postgres_url, role), create=create)
        for verb in VERBS:
            assert Attempt(store, verb).error is None, verb
    postgres_server.execute(f"REVOKE ALL ON fibonacci FROM {role}", name)


def test_table_created_by_another_role_meanwhile(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str, role: str
) -> None:
    """A role that can't create the table uses the one that another creates meanwhile."""
    store = open_store(as_role(postgres_url, role))
    attempts: list[Attempt] = []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        thread = threading.Thread(target=lambda: attempts.append(Attempt(store, "write")))
        thread.start()
        while not postgres_server.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            assert thread.is_alive()
        connection.execute(create_table_sql("fibonacci").encode())
        connection.execute(f"GRANT ALL ON fibonacci TO {role}".encode())
    thread.join()
    assert attempts[0].error is None
    postgres_server.execute(f"REVOKE ALL ON fibonacci FROM {role}", database_name(postgres_url))


def test_table_created_without_the_lock_meanwhile(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A table that is created meanwhile without the advisory lock is used."""
    store = open_store(postgres_url)
    attempts: list[Attempt] = []
    with psycopg.connect(postgres_url) as connection:
        connection.execute(create_table_sql("fibonacci").encode())
        thread = threading.Thread(target=lambda: attempts.append(Attempt(store, "write")))
        thread.start()
        while not postgres_server.execute(
            "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
        ):
            assert thread.is_alive()
    thread.join()
    assert attempts[0].error is None


def test_missing_create_privilege_is_named(
    open_store: OpenStore, postgres_url: str, role: str
) -> None:
    """A role that can't create the table gets an error that names the privileges."""
    attempt = Attempt(open_store(as_role(postgres_url, role)), "write")
    assert type(attempt.error) is StorageError
    assert "CREATE on the schema" in str(attempt.error)


def test_missing_table_privilege_is_named(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str, role: str
) -> None:
    """A role that can't use the table gets an error that names the privileges."""
    postgres_server.execute(create_table_sql("fibonacci"), database_name(postgres_url))
    attempt = Attempt(open_store(as_role(postgres_url, role)), "write")
    assert type(attempt.error) is StorageError
    assert "needs SELECT, INSERT, UPDATE and DELETE" in str(attempt.error)


def test_newer_schema_version_is_an_error(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A table of a later schema version is an error; one without our comment is used."""
    name = database_name(postgres_url)
    postgres_server.execute(create_table_sql("fibonacci"), name)
    postgres_server.execute("COMMENT ON TABLE fibonacci IS 'fibonacci-postgres, schema 2'", name)
    attempt = Attempt(open_store(postgres_url), "read")
    assert type(attempt.error) is StorageError
    assert "has schema version 2, but this release" in str(attempt.error)
    postgres_server.execute("COMMENT ON TABLE fibonacci IS 'our memory, schema 7'", name)
    assert Attempt(open_store(postgres_url), "read").error is None


def test_foreign_table_is_an_error(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A table with other columns is an error that names the option 'table'."""
    postgres_server.execute("CREATE TABLE fibonacci (n int)", database_name(postgres_url))
    attempt = Attempt(open_store(postgres_url), "read")
    assert type(attempt.error) is StorageError
    assert "option 'table'" in str(attempt.error)


def test_dropped_table_is_created_again(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """After the table is dropped one attempt fails, and the next creates it again."""
    store = open_store(postgres_url)
    store.write(A, b"1", None)
    postgres_server.execute("DROP TABLE fibonacci", database_name(postgres_url))
    assert type(Attempt(store, "write").error) is BackendUnavailableError
    store.write(A, b"2", None)
    assert store.read(A) == b"2"


def test_main_prints_the_sql(capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m fibonacci_postgres`` prints the SQL for any valid table name."""
    main([])
    assert capsys.readouterr().out == create_table_sql("fibonacci")
    main(["ours.memory"])
    assert 'CREATE TABLE IF NOT EXISTS "ours"."memory"' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["no table"])


def test_package_runs_as_a_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package runs as a module."""
    monkeypatch.setattr(sys, "argv", ["fibonacci_postgres", "memory"])
    sys.modules.pop("fibonacci_postgres.__main__", None)
    runpy.run_module("fibonacci_postgres", run_name="__main__")
    assert capsys.readouterr().out == create_table_sql("memory")


def test_readme_shows_the_sql() -> None:
    """The README shows the SQL that the module prints."""
    readme = Path(__file__).parents[1] / "README.md"
    assert create_table_sql("fibonacci") in readme.read_text()


def test_main_does_not_import_the_driver() -> None:
    """Printing the SQL does not import psycopg."""
    command = [sys.executable, "-X", "importtime", "-m", "fibonacci_postgres"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == create_table_sql("fibonacci")
    assert "psycopg" not in done.stderr
