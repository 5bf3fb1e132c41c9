"""Standbys: one is not used unless target_session_attrs accepts it."""

import logging
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
    """A hot standby whose table has a record from when it was a primary."""
    with postgres.standalone() as server:
        store: Any = create_backend(server.url).create_store()
        run_sync(store.write(A, b"old", None, deadline=monotonic() + 5))
        run_sync(store.close())
        server.kill()
        server.become_standby()
        server.start()
        yield server


@pytest.mark.parametrize("verb", READS)
def test_standby_is_rejected(verb: str, open_store: OpenStore, standby: Postgres) -> None:
    """A standby is rejected for reads and writes, and the error says why."""
    attempt = Attempt(open_store(standby.url), verb)
    assert type(attempt.error) is BackendUnavailableError
    assert "is a standby" in str(attempt.error)
    assert "target_session_attrs=any" in str(attempt.error)


@pytest.mark.parametrize("wanted", ["any", "standby", "prefer-standby", "read-only"])
def test_accepted_standby_is_read(wanted: str, open_store: OpenStore, standby: Postgres) -> None:
    """A standby that target_session_attrs accepts is read."""
    assert open_store(f"{standby.url}?target_session_attrs={wanted}").read(A) == b"old"


def test_environment_accepts_a_standby(
    open_store: OpenStore, standby: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGTARGETSESSIONATTRS may accept a standby."""
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    assert open_store(standby.url).read(A) == b"old"


@pytest.mark.parametrize("setting", ["", "target_session_attrs=standby\n"])
def test_service_file_accepts_a_standby(
    setting: str, open_store: OpenStore, standby: Postgres, tmp_path: Path, monkeypatch: Any
) -> None:
    """A service file may accept a standby; without target_session_attrs it needs a primary."""
    file = tmp_path / "services"
    file.write_text(f"[memory]\nhost={standby.host}\nport={standby.port}\n{setting}")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    attempt = Attempt(open_store("postgresql://postgres@/postgres?service=memory"), "read", A)
    if setting:
        assert attempt.result == b"old"
    else:
        assert "is a standby" in str(attempt.error)


def test_first_primary_is_used(
    open_store: OpenStore,
    standby: Postgres,
    postgres_server: Databases,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of several hosts the first primary is used; that a standby is skipped is logged at DEBUG."""
    caplog.set_level(logging.DEBUG, "fibonacci.postgres")
    hosts = f"127.0.0.1:{standby.port},127.0.0.1:{postgres_server.port}"
    store = open_store(f"postgresql://postgres@{hosts}/postgres?table=of_primary")
    store.write(A, b"new", None)
    assert store.read(A) == b"new"
    store.remove(A)
    [skipped] = [record for record in caplog.records if "skipping" in record.getMessage()]
    assert skipped.levelname == "DEBUG"
    assert skipped.getMessage() == (
        f"skipping 127.0.0.1, port {standby.port}: it is a standby, whose data may be older than "
        f"the primary's"
    )


def test_standby_behind_a_pooler(open_store: OpenStore, standby: Postgres) -> None:
    """Through a pooler, the store asks the server itself whether it is a standby."""
    with pooler(standby) as pgbouncer:
        attempt = Attempt(open_store(f"{pgbouncer.url}?prepare=off"), "read")
        assert "is a standby" in str(attempt.error)
