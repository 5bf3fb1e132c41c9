"""TLS: parameters of the URL, and large responses."""

from collections.abc import Iterator

import psycopg
import pytest
from services.databases import Databases

from fibonacci.errors import BackendUnavailableError, OutcomeUnknownError, StorageError

from .stores import A, Attempt, B, OpenStore, wait_until
from .tls import PostgresTLS


@pytest.fixture(scope="module")
def tls(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Databases
) -> Iterator[PostgresTLS]:
    """The server with TLS in front of it."""
    with PostgresTLS(tmp_path_factory.mktemp("tls"), postgres_server) as terminator:
        yield terminator


def url(tls: PostgresTLS, query: str) -> str:
    """Return the URL of the server's own database through TLS."""
    return f"{tls.url}?{query}"


def test_trusted_server_is_used(open_store: OpenStore, tls: PostgresTLS) -> None:
    """A server with a trusted certificate is used, and large values arrive complete."""
    store = open_store(
        url(tls, f"sslmode=verify-full&sslrootcert={tls.certificates.ca}"), timeout=20
    )
    for size in (10, 9_000, 16_384, 100_000, 2**20):
        value = b"%d" % size * (size // 5)
        store.write(A, value, None)
        store.write(B, b"b", None)
        assert store.read(A) == value
        assert store.read_many([A, B]) == [value, b"b"]


def test_cancel_request_uses_tls(
    open_store: OpenStore, tls: PostgresTLS, postgres_server: Databases
) -> None:
    """An abandoned call is cancelled through TLS too."""
    store = open_store(url(tls, "sslmode=require"), timeout=20)
    store.write(A, b"old", None)
    with psycopg.connect(postgres_server.url) as locker:
        locker.execute("LOCK TABLE fibonacci")
        attempt = Attempt(store, "write", timeout=0.2)
        assert type(attempt.error) is OutcomeUnknownError
        waiting = "SELECT FROM pg_locks WHERE relation = 'fibonacci'::regclass AND NOT granted"
        wait_until(lambda: not locker.execute(waiting.encode()).fetchall())
    assert store.read(A) == b"old"


def test_untrusted_server_is_rejected(open_store: OpenStore, tls: PostgresTLS) -> None:
    """A server whose certificate is not trusted is rejected at once."""
    store = open_store(url(tls, f"sslmode=verify-full&sslrootcert={tls.certificates.other_ca}"))
    attempt = Attempt(store, "write")
    assert type(attempt.error) is StorageError
    assert "certificate" in str(attempt.error)
    assert attempt.seconds < 1


def test_server_without_tls_is_rejected(open_store: OpenStore, postgres_server: Databases) -> None:
    """A server without TLS is rejected if sslmode=require."""
    store = open_store(f"{postgres_server.url}?sslmode=require")
    attempt = Attempt(store, "write")
    assert type(attempt.error) is StorageError
    assert "SSL was required" in str(attempt.error)


def test_server_that_requires_tls_rejects_plain_connections(
    open_store: OpenStore, tls: PostgresTLS
) -> None:
    """Without TLS a server that requires it is unavailable."""
    attempt = Attempt(open_store(url(tls, "sslmode=disable"), timeout=1), "write")
    assert type(attempt.error) is BackendUnavailableError
