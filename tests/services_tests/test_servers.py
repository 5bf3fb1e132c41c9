"""What every server of the farm does."""


def test_valkey_answers(valkey_server):
    """A Valkey runs, and answers."""
    assert valkey_server("PING") == b"PONG"


def test_postgres_gives_databases(postgres_server, postgres_url):
    """A test's database is its own."""
    name = postgres_url.rpartition("/")[2]
    assert postgres_server.execute("SELECT current_database()", name) == [[name]]
