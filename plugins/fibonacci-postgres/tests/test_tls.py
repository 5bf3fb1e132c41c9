"""TLS as libpq has it: parameters of the URL, and answers that come in large records."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from services.certificates import Certificates, certificates
from services.databases import Databases

from fibonacci.errors import BackendUnavailableError, StorageError

from .speaking import A, Attempt, B, Opening
from .tls import Door


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates lie."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def papers(folder: Path) -> Certificates:
    """Certificates for the door."""
    return certificates(folder)


@pytest.fixture(scope="module")
def door(folder: Path, papers: Certificates, postgres_server: Databases) -> Iterator[Door]:
    """A door with TLS before the server."""
    door = Door(folder / "server.pem", folder / "server.key", postgres_server.port)
    yield door
    door.close()


def url(door: Door, query: str) -> str:
    """The server's own database, through the door."""
    return f"postgresql://postgres@127.0.0.1:{door.port}/postgres?{query}"


def test_verified(opening: Opening, door: Door, papers: Certificates) -> None:
    """A server whose certificate is trusted is spoken to; large values come back whole."""
    store = opening(url(door, f"sslmode=verify-full&sslrootcert={papers.ca}"), timeout=20)
    for size in (10, 9_000, 16_384, 100_000, 2**20):
        value = b"%d" % size * (size // 5)
        store.write(A, value, None)
        store.write(B, b"b", None)
        assert store.read(A) == value
        assert store.read_many([A, B]) == [value, b"b"]


def test_not_trusted(opening: Opening, door: Door, papers: Certificates) -> None:
    """One whose certificate is not trusted is refused at once."""
    store = opening(url(door, f"sslmode=verify-full&sslrootcert={papers.other_ca}"))
    attempt = Attempt(store, "write")
    assert type(attempt.fault) is StorageError
    assert "certificate" in str(attempt.fault)
    assert attempt.seconds < 1


def test_required(opening: Opening, postgres_server: Databases) -> None:
    """A server without TLS is refused where TLS is required."""
    store = opening(f"{postgres_server.url}?sslmode=require")
    attempt = Attempt(store, "write")
    assert type(attempt.fault) is StorageError
    assert "SSL was required" in str(attempt.fault)


def test_without(opening: Opening, door: Door) -> None:
    """Nor does anything go over in the clear where the server insists on TLS."""
    attempt = Attempt(opening(url(door, "sslmode=disable"), timeout=1), "write")
    assert type(attempt.fault) is BackendUnavailableError
