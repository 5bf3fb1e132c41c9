"""The table: made once, whoever comes first; found where it is; never made without leave."""

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

from .stores import TIMEOUT, VERBS, A, Attempt, OpenStore, StorePerVerb

COLD_START = """
import os, sys
from fibonacci import MemoryConfig, Workflow
import fibonacci_postgres.executor  # once, and not in each child
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


def tables(server: Databases, url: str) -> list[list[str | None]]:
    """Which tables of ours a database has, with their comments."""
    return server.execute(
        "SELECT relname, obj_description(oid, 'pg_class') FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        database(url),
    )


def database(url: str) -> str:
    """The database of a URL."""
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture
def role(postgres_server: Databases) -> Iterator[str]:
    """A role that owns nothing."""
    postgres_server.execute("CREATE ROLE visitor LOGIN")
    yield "visitor"
    postgres_server.execute("DROP ROLE visitor")


def as_role(url: str, role: str) -> str:
    """The same database, for another role."""
    return url.replace("//postgres@", f"//{role}@")


def test_first_use(open_store: OpenStore, postgres_server: Databases, postgres_url: str) -> None:
    """The first operation makes the table, with its version in the comment."""
    assert open_store(postgres_url).read(A) is None
    assert tables(postgres_server, postgres_url) == [["fibonacci", "fibonacci-postgres, schema 1"]]


@pytest.mark.parametrize("verb", list(VERBS))
def test_any_verb_first(open_store: OpenStore, postgres_url: str, verb: str) -> None:
    """Any verb may be the first on an empty database."""
    assert Attempt(open_store(postgres_url), verb).error is None


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.long)])
def test_cold_starts(postgres_server: Databases, rounds: int) -> None:
    """Sixteen processes that meet an empty database at the same time all get on with it."""
    for _ in range(rounds):
        with postgres_server.database() as url:
            command = [sys.executable, "-c", COLD_START, url, "16"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            assert done.stdout == f"{[0] * 16}\n"


def test_threads_start_together(open_store: OpenStore, postgres_url: str) -> None:
    """So do threads of one process with a store each, whatever their first verbs are."""
    attempts = StorePerVerb(open_store, postgres_url).attempt(TIMEOUT)
    assert {verb: attempt.error for verb, attempt in attempts.items()} == dict.fromkeys(VERBS)


def test_another_table(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """Stores with different tables, in a schema perhaps, share nothing."""
    postgres_server.execute('CREATE SCHEMA "Ours"', database(postgres_url))
    ours, theirs = open_store(postgres_url, table="Ours.memory"), open_store(postgres_url)
    ours.write(A, b"1", None)
    assert theirs.read(A) is None
    assert ours.read(A) == b"1"


def test_missing_schema(open_store: OpenStore, postgres_url: str) -> None:
    """A schema is not made for anybody; the error says so."""
    attempt = Attempt(open_store(postgres_url, table="nowhere.memory"), "write")
    assert type(attempt.error) is StorageError
    assert "Create the schema first" in str(attempt.error)


def test_create_off(open_store: OpenStore, postgres_server: Databases, postgres_url: str) -> None:
    """With create=off nothing is made, and each verb says what to do."""
    store = open_store(postgres_url, create=False)
    attempt = Attempt(store, "read")
    assert type(attempt.error) is StorageError
    assert "python -m fibonacci_postgres" in str(attempt.error)
    assert tables(postgres_server, postgres_url) == []
    postgres_server.execute(create_table_sql("fibonacci"), database(postgres_url))
    store.write(A, b"1", None)
    assert store.read(A) == b"1"


def test_sql_may_run_again(postgres_server: Databases, postgres_url: str) -> None:
    """The printed SQL does nothing where the table is there."""
    for _ in range(2):
        postgres_server.execute(create_table_sql("fibonacci"), database(postgres_url))
    assert len(tables(postgres_server, postgres_url)) == 1


def test_least_privilege(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str, role: str
) -> None:
    """A role that owns nothing works on a table that is ready, whatever create says."""
    name = database(postgres_url)
    postgres_server.execute(create_table_sql("fibonacci"), name)
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON fibonacci TO {role}"
    postgres_server.execute(grant, name)
    for create in (True, False):
        store = open_store(as_role(postgres_url, role), create=create)
        for verb in VERBS:
            assert Attempt(store, verb).error is None, verb
    postgres_server.execute(f"REVOKE ALL ON fibonacci FROM {role}", name)


def test_somebody_else_is_faster(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str, role: str
) -> None:
    """A role that may not make the table works on one that another makes at the same moment."""
    store = open_store(as_role(postgres_url, role))
    attempts: list[Attempt] = []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        visitor = threading.Thread(target=lambda: attempts.append(Attempt(store, "write")))
        visitor.start()
        while not postgres_server.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            assert visitor.is_alive()
        connection.execute(create_table_sql("fibonacci").encode())
        connection.execute(f"GRANT ALL ON fibonacci TO {role}".encode())
    visitor.join()
    assert attempts[0].error is None
    postgres_server.execute(f"REVOKE ALL ON fibonacci FROM {role}", database(postgres_url))


def test_made_by_hand_meanwhile(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A table that somebody makes at the same moment without the lock is used as it is."""
    store = open_store(postgres_url)
    attempts: list[Attempt] = []
    with psycopg.connect(postgres_url) as connection:
        connection.execute(create_table_sql("fibonacci").encode())
        visitor = threading.Thread(target=lambda: attempts.append(Attempt(store, "write")))
        visitor.start()
        while not postgres_server.execute(
            "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
        ):
            assert visitor.is_alive()
    visitor.join()
    assert attempts[0].error is None


def test_no_privilege(open_store: OpenStore, postgres_url: str, role: str) -> None:
    """A role that may not make the table is told what it needs."""
    attempt = Attempt(open_store(as_role(postgres_url, role)), "write")
    assert type(attempt.error) is StorageError
    assert "CREATE on the schema" in str(attempt.error)


def test_no_privilege_on_the_table(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str, role: str
) -> None:
    """So is one that may not use it."""
    postgres_server.execute(create_table_sql("fibonacci"), database(postgres_url))
    attempt = Attempt(open_store(as_role(postgres_url, role)), "write")
    assert type(attempt.error) is StorageError
    assert "needs SELECT, INSERT, UPDATE and DELETE" in str(attempt.error)


def test_newer_schema(open_store: OpenStore, postgres_server: Databases, postgres_url: str) -> None:
    """A table of a later release is left alone; one without the comment is taken as it is."""
    name = database(postgres_url)
    postgres_server.execute(create_table_sql("fibonacci"), name)
    postgres_server.execute("COMMENT ON TABLE fibonacci IS 'fibonacci-postgres, schema 2'", name)
    attempt = Attempt(open_store(postgres_url), "read")
    assert type(attempt.error) is StorageError
    assert "has schema version 2, but this release" in str(attempt.error)
    postgres_server.execute("COMMENT ON TABLE fibonacci IS 'our memory, schema 7'", name)
    assert Attempt(open_store(postgres_url), "read").error is None


def test_somebody_elses_table(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A table of that name with other columns is an error that names the way out."""
    postgres_server.execute("CREATE TABLE fibonacci (n int)", database(postgres_url))
    attempt = Attempt(open_store(postgres_url), "read")
    assert type(attempt.error) is StorageError
    assert "option 'table'" in str(attempt.error)


def test_dropped_table(
    open_store: OpenStore, postgres_server: Databases, postgres_url: str
) -> None:
    """A table that is dropped under a running store costs one attempt, and is made anew."""
    store = open_store(postgres_url)
    store.write(A, b"1", None)
    postgres_server.execute("DROP TABLE fibonacci", database(postgres_url))
    assert type(Attempt(store, "write").error) is BackendUnavailableError
    store.write(A, b"2", None)
    assert store.read(A) == b"2"


def test_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m fibonacci_postgres`` prints the SQL, for any table."""
    main([])
    assert capsys.readouterr().out == create_table_sql("fibonacci")
    main(["ours.memory"])
    assert 'CREATE TABLE IF NOT EXISTS "ours"."memory"' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["no table"])


def test_runs_as_a_module(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module runs by its package's name."""
    monkeypatch.setattr(sys, "argv", ["fibonacci_postgres", "memory"])
    sys.modules.pop("fibonacci_postgres.__main__", None)
    runpy.run_module("fibonacci_postgres", run_name="__main__")
    assert capsys.readouterr().out == create_table_sql("memory")


def test_readme() -> None:
    """The README shows the same."""
    readme = Path(__file__).parents[1] / "README.md"
    assert create_table_sql("fibonacci") in readme.read_text()


def test_without_the_driver() -> None:
    """It needs no driver for that."""
    command = [sys.executable, "-X", "importtime", "-m", "fibonacci_postgres"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == create_table_sql("fibonacci")
    assert "psycopg" not in done.stderr
