"""A test whose server is missing is skipped and counted by reason, or fails on demand."""

import os
import subprocess
import sys

import pytest

TESTS = """
from services import mariadb, redis
import pytest

def test_by_fixture(secured_redis): ...
def test_by_parameter(either_server): assert either_server("PING") == b"PONG"
def test_by_name(request): request.getfixturevalue("redis_server")
def test_by_itself():
    with redis.standalone(): ...
def test_pooler(pgbouncer_url): ...
def test_example(): mariadb.binary()
def test_free(): ...
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest on TESTS, on a machine without any program."""
    (tmp_path / "test_some.py").write_text(TESTS)

    def run(**environment):
        bare = {k: v for k, v in os.environ.items() if not k.startswith(("FIBONACCI", "PYTEST"))}
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "services.fixtures",
                "-p",
                "no:valkey",
                tmp_path,
            ],
            env={
                **bare,
                "PATH": "/nonexistent",
                "PYTHONPATH": os.pathsep.join(sys.path),
                **environment,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_missing_servers_are_counted(run):
    """Tests that request a missing server in any way are skipped, and counted by its name."""
    done = run()
    assert done.returncode == 0
    assert "not run: Redis 7.0: no redis-server on PATH: 4 tests" in done.stdout
    assert "not run: PgBouncer: no pgbouncer on PATH: 1 tests" in done.stdout
    assert "not run: MariaDB: no mariadbd on PATH: 1 tests" in done.stdout
    assert "2 passed, 6 skipped" in done.stdout


def test_required_server_that_is_missing_fails(run):
    """With FIBONACCI_REQUIRE_SERVICES=1 a missing server fails the run, with how to get it."""
    done = run(FIBONACCI_REQUIRE_SERVICES="1")
    assert done.returncode == 1
    assert "no redis-server on PATH: apt-get install redis-server" in done.stdout
    assert "no pgbouncer on PATH: apt-get install pgbouncer" in done.stdout
    assert "no mariadbd on PATH: apt-get install mariadb-server" in done.stdout
    assert "not run" not in done.stdout


def test_a_server_given_by_url_is_used(run, valkey_server, tmp_path):
    """With FIBONACCI_TEST_REDIS_URL that server is used, and no Valkey is started."""
    (tmp_path / "test_some.py").write_text(
        f"def test_it(valkey_server):\n"
        f"    assert valkey_server.port == {valkey_server.port}\n"
        f"    assert valkey_server('PING') == b'PONG'\n"
    )
    done = run(FIBONACCI_TEST_REDIS_URL=valkey_server.url)
    assert "1 passed" in done.stdout


def test_a_postgres_given_by_url_is_used(run, postgres_server, tmp_path):
    """With FIBONACCI_TEST_POSTGRES_URL that server is used, and no PostgreSQL is started."""
    (tmp_path / "test_some.py").write_text(
        f"def test_it(postgres_server, postgres_url):\n"
        f"    assert ':{postgres_server.port}/fibonacci_test_' in postgres_url\n"
        f"    name = postgres_url.rpartition('/')[2]\n"
        f"    sql = 'SELECT current_database(), 1, NULL'\n"
        f"    assert postgres_server.execute(sql, name) == [[name, '1', None]]\n"
    )
    done = run(FIBONACCI_TEST_POSTGRES_URL=postgres_server.url)
    assert "1 passed" in done.stdout
