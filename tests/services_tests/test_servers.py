"""What every single server of the farm does."""

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


def test_it_answers_as_soon_as_it_is_there(server: Server):
    """A server that was started answers, on loopback, on a port below the ephemeral ones."""
    assert ask(server) in ([["1"]], b"PONG")
    assert server.host == "127.0.0.1"
    assert 10_240 <= server.port < 22_768
    assert f"127.0.0.1:{server.port}" in server.url


def test_a_killed_one_refuses_and_starts_again(server: Server):
    """SIGKILL ends every process of it; the same port answers after `start`."""
    url, before = server.url, family(pid=server.pid)
    server.kill()
    assert not server.alive
    assert not living(before)
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    server.start()
    assert (server.url, ask(server)) in [(url, [["1"]]), (url, b"PONG")]


def test_a_restart_is_another_process(server: Server):
    """`restart` ends the process in good order, and starts a new one."""
    before = server.pid
    server.restart()
    assert server.pid != before
    assert ask(server) in ([["1"]], b"PONG")


def test_a_paused_one_accepts_and_is_silent(server: Server):
    """SIGSTOP: connections are accepted, nothing answers, until SIGCONT."""
    server.pause()
    with socket.create_connection((server.host, server.port), 0.2) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    server.resume()
    assert ask(server) in ([["1"]], b"PONG")


@pytest.mark.parametrize("kind", START)
def test_a_stopped_one_leaves_nothing(kind):
    """After `stop` no process is left, paused or not."""
    server = START[kind]()
    members = family(pid=server.pid)
    server.pause()
    server.stop()
    assert not living(members)
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_a_paused_postgres_answers_on_no_connection():
    """A pause stops the backends of open connections too, not only the postmaster."""
    with postgres.standalone() as server, pgwire.Connection(server.host, server.port) as open_one:
        assert open_one.query("SELECT 1") == [["1"]]
        server.pause()
        open_one.timeout(0.2)
        with pytest.raises(TimeoutError):
            open_one.query("SELECT 1")


def test_settings_reach_the_server():
    """Settings are the server's own, with underscores."""
    with valkey.standalone(maxmemory="3mb", maxmemory_policy="noeviction") as server:
        assert server("CONFIG", "GET", "maxmemory-policy")[1] == b"noeviction"
        assert server("CONFIG", "GET", "maxmemory")[1] == b"3145728"
    with postgres.standalone(max_connections=7) as server:
        assert server.execute("SHOW max_connections") == [["7"]]


def test_a_wrong_setting_is_told_with_the_log():
    """A server that cannot start fails at once, and shows why."""
    with pytest.raises(RuntimeError, match="no_such_parameter"):
        postgres.standalone(no_such_parameter=1)
    with pytest.raises(RuntimeError, match="no-such-directive"):
        valkey.standalone(no_such_directive=1)


def test_data_outlives_a_restart_if_it_is_asked_to():
    """With `appendonly` a killed Valkey comes back with what it had; by default it comes empty."""
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


def test_each_test_has_a_database_of_its_own(postgres_server: Databases):
    """A database is new and empty, and is dropped although somebody is connected."""
    with postgres_server.database() as one, postgres_server.database() as other:
        names = {url.rpartition("/")[2] for url in (one, other)}
        assert len(names) == 2
        for name in names:
            postgres_server.execute("CREATE TABLE t (n int)", name)
    left = postgres_server.execute("SELECT datname FROM pg_database")
    assert not names & {row[0] for row in left}


def test_an_error_of_postgres_is_told():
    """The farm's own questions fail with the server's code and words."""
    with (
        postgres.standalone() as server,
        pytest.raises(pgwire.QueryError, match=r"42601: syntax error at or near"),
    ):
        server.execute("nonsense")


def test_an_error_of_redis_is_told(either_server):
    """The farm's own questions fail with the server's words."""
    with pytest.raises(resp.ReplyError, match="unknown command"):
        either_server("NONSENSE")
