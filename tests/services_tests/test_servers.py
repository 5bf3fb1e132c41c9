"""Properties of every single server of the farm."""

import os
import socket

import pytest
from services import pgwire, postgres, redis, resp, valkey
from services.databases import Databases
from services.postgres import Postgres
from services.reaper import family, living
from services.server import Server
from services.standalone import Redis

START = {
    "valkey": valkey.standalone,
    "redis": redis.standalone,
    "redis-tls": redis.secured,
    "postgres": postgres.standalone,
}


@pytest.fixture(params=START, scope="module")
def server(request):
    with START[request.param]() as server:
        yield server


def ask(server: Server) -> object:
    return server.execute("SELECT 1") if isinstance(server, Postgres) else answer(server)


def answer(server: Server) -> object:
    assert isinstance(server, Redis)
    return server("PING")


def test_started_server_replies(server: Server):
    """A server that was started replies, on loopback, on a port below the ephemeral ones."""
    assert ask(server) in ([["1"]], b"PONG")
    assert server.host == "127.0.0.1"
    assert 10_240 <= server.port < 22_768
    assert f"127.0.0.1:{server.port}" in server.url


def test_killed_server_refuses_and_restarts(server: Server):
    """SIGKILL ends all of its processes; the same port serves after `start`."""
    url, before = server.url, family(pid=server.pid)
    server.kill()
    assert not server.alive
    assert not living(before)
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    server.start()
    assert (server.url, ask(server)) in [(url, [["1"]]), (url, b"PONG")]


def test_a_restart_is_another_process(server: Server):
    """`restart` ends the process in order, and starts a new one."""
    before = server.pid
    server.restart()
    assert server.pid != before
    assert ask(server) in ([["1"]], b"PONG")


def test_paused_server_is_silent(server: Server):
    """After SIGSTOP connections are accepted and nothing replies, until SIGCONT."""
    server.pause()
    with socket.create_connection((server.host, server.port), 0.2) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    server.resume()
    assert ask(server) in ([["1"]], b"PONG")


@pytest.mark.parametrize("kind", START)
def test_stopped_server_leaves_nothing(kind):
    """After `stop` no process is left, paused or not."""
    server = START[kind]()
    members = family(pid=server.pid)
    server.pause()
    server.stop()
    assert not living(members)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_paused_postgres_is_silent_on_all_connections():
    """A pause stops the backends of open connections too, not only the postmaster."""
    with postgres.standalone() as server, pgwire.Connection(server.host, server.port) as open_one:
        assert open_one.query("SELECT 1") == [["1"]]
        server.pause()
        open_one.timeout(0.2)
        with pytest.raises(TimeoutError):
            open_one.query("SELECT 1")


def test_settings_reach_the_server():
    """Keyword arguments are settings of the server, with underscores."""
    with valkey.standalone(maxmemory="3mb", maxmemory_policy="noeviction") as server:
        assert server("CONFIG", "GET", "maxmemory-policy")[1] == b"noeviction"
        assert server("CONFIG", "GET", "maxmemory")[1] == b"3145728"
    with postgres.standalone(max_connections=7) as server:
        assert server.execute("SHOW max_connections") == [["7"]]


def test_a_wrong_setting_raises_with_the_log():
    """A server that cannot start fails at once, with its log."""
    with pytest.raises(RuntimeError, match="no_such_parameter"):
        postgres.standalone(no_such_parameter=1)
    with pytest.raises(RuntimeError, match="no-such-directive"):
        valkey.standalone(no_such_directive=1)


def test_appendonly_data_survives_a_restart():
    """With `appendonly` a killed Valkey restarts with its data; by default it restarts empty."""
    for settings, found in (({"appendonly": "yes", "appendfsync": "always"}, b"v"), ({}, None)):
        with valkey.standalone(**settings) as server:
            server("SET", "k", "v")
            server.kill()
            server.start()
            assert server("GET", "k") == found


def test_a_unix_socket_is_there():
    """Valkey and Redis listen on a unix socket as well."""
    with valkey.standalone() as server, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.socket))
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


def test_each_test_has_its_own_database(postgres_server: Databases):
    """A database is new and empty, and is dropped despite open connections."""
    with postgres_server.database() as one, postgres_server.database() as other:
        names = {url.rpartition("/")[2] for url in (one, other)}
        assert len(names) == 2
        for name in names:
            postgres_server.execute("CREATE TABLE t (n int)", name)
    left = postgres_server.execute("SELECT datname FROM pg_database")
    assert not names & {row[0] for row in left}


def test_postgres_error_has_code_and_text():
    """A failed query raises with the server's code and text."""
    with (
        postgres.standalone() as server,
        pytest.raises(pgwire.QueryError, match=r"42601: syntax error at or near"),
    ):
        server.execute("nonsense")


def test_redis_error_has_its_text(either_server):
    """A failed command raises with the server's text."""
    with pytest.raises(resp.ReplyError, match="unknown command"):
        either_server("NONSENSE")
