"""A standby is not read, unless it is said that one will do."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from services import postgres
from services.databases import Databases
from services.pgbouncer import pooler
from services.postgres import Postgres

from fibonacci.errors import BackendUnavailableError
from fibonacci.plugin import run_sync

from .stores import READS, A, Attempt, OpenStore, create_backend


@pytest.fixture(scope="module")
def standby() -> Iterator[Postgres]:
    """A hot standby, with a record in the table that it has since it was a primary."""
    with postgres.standalone() as server:
        store: Any = create_backend(server.url).create_store()
        run_sync(store.write(A, b"old", None, deadline=monotonic() + 5))
        run_sync(store.close())
        server.kill()
        server.become_standby()
        server.start()
        yield server


@pytest.mark.parametrize("verb", READS)
def test_standby(verb: str, open_store: OpenStore, standby: Postgres) -> None:
    """A host that is a standby is refused for reads as for writes, and the error says why."""
    attempt = Attempt(open_store(standby.url), verb)
    assert type(attempt.error) is BackendUnavailableError
    assert "is a standby" in str(attempt.error)
    assert "target_session_attrs=any" in str(attempt.error)


@pytest.mark.parametrize("wanted", ["any", "standby", "prefer-standby", "read-only"])
def test_standby_that_will_do(wanted: str, open_store: OpenStore, standby: Postgres) -> None:
    """Whoever says that a standby will do may read from it."""
    assert open_store(f"{standby.url}?target_session_attrs={wanted}").read(A) == b"old"


def test_environment(
    open_store: OpenStore, standby: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be said in libpq's environment variable, too."""
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    assert open_store(standby.url).read(A) == b"old"


@pytest.mark.parametrize("said", ["", "target_session_attrs=standby\n"])
def test_service_file(
    said: str, open_store: OpenStore, standby: Postgres, tmp_path: Path, monkeypatch: Any
) -> None:
    """And in a service file, which may name the host; one that says nothing means a primary."""
    file = tmp_path / "services"
    file.write_text(f"[memory]\nhost={standby.host}\nport={standby.port}\n{said}")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    attempt = Attempt(open_store("postgresql://postgres@/postgres?service=memory"), "read", A)
    if said:
        assert attempt.result == b"old"
    else:
        assert "is a standby" in str(attempt.error)


def test_next_host(open_store: OpenStore, standby: Postgres, postgres_server: Databases) -> None:
    """Of several hosts the first that is no standby is used."""
    hosts = f"127.0.0.1:{standby.port},127.0.0.1:{postgres_server.port}"
    store = open_store(f"postgresql://postgres@{hosts}/postgres?table=of_primary")
    store.write(A, b"new", None)
    assert store.read(A) == b"new"
    store.remove(A)


def test_standby_behind_a_pooler(open_store: OpenStore, standby: Postgres) -> None:
    """Behind a pooler the server itself is asked."""
    with pooler(standby) as before:
        attempt = Attempt(open_store(f"{before.url}?prepare=off"), "read")
        assert "is a standby" in str(attempt.error)
