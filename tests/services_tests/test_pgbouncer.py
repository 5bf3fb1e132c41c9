"""A pooler in transaction mode before PostgreSQL."""

import pytest
from services import pgwire
from services.pgbouncer import PgBouncer


def connected(server: PgBouncer, url: str) -> pgwire.Connection:
    return pgwire.Connection(server.host, server.port, url.rpartition("/")[2])


def test_many_clients_share_few_connections(pgbouncer_server: PgBouncer, pgbouncer_url: str):
    """Five open clients are served by two connections at most."""
    clients = [connected(pgbouncer_server, pgbouncer_url) for _ in range(5)]
    backends = {client.query("SELECT pg_backend_pid()")[0][0] for client in clients}
    for client in clients:
        client.close()
    assert len(backends) <= 2


def test_clients_share_prepared_statements(pgbouncer_server: PgBouncer, pgbouncer_url: str):
    """A prepared statement belongs to the server's connection: two clients collide."""
    with (
        connected(pgbouncer_server, pgbouncer_url) as one,
        connected(pgbouncer_server, pgbouncer_url) as other,
    ):
        one.query("PREPARE s AS SELECT 1")
        with pytest.raises(pgwire.QueryError, match='42P05: prepared statement "s" already'):
            other.query("PREPARE s AS SELECT 2")


def test_pooler_that_has_ended_is_started_again(shared_pgbouncer: PgBouncer):
    """A pooler that has ended by itself serves the next test at the same address."""
    shared_pgbouncer.kill()
    server = shared_pgbouncer.ensure_running()
    with connected(server, server.url) as client:
        assert client.query("SELECT 1") == [["1"]]
