"""Connections to the file and their pool: how they are reused, closed, and drained for a fork."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from sqlite_helpers import deadline

from fibonacci_sqlite.connection import Connection, open_connection
from fibonacci_sqlite.pool import MAX_IDLE, ConnectionPool
from fibonacci_sqlite.settings import ConnectionOptions


@pytest.fixture
def pool(path: Path):
    """A pool of connections to the file."""
    pool = ConnectionPool(lambda: open_connection(ConnectionOptions(path=os.fspath(path))))
    yield pool
    pool.close()


def test_pool_is_a_bounded_stack(pool: ConnectionPool):
    """getconn() returns the connection used last, and at most MAX_IDLE stay open."""
    taken = [pool.getconn() for _ in range(MAX_IDLE + 3)]
    for connection in taken:
        pool.putconn(connection)
    assert [connection.closed for connection in taken] == [False] * MAX_IDLE + [True] * 3
    assert pool.getconn() is taken[MAX_IDLE - 1]


def descriptors(path: Path) -> int:
    """Return how many descriptors of the file this process has open."""
    file, found = path.stat(), 0
    for number in os.listdir("/dev/fd"):
        with suppress(OSError):  # the descriptor of the listing itself
            found += os.path.samestat(os.fstat(int(number)), file)
    return found


def test_close_releases_the_file(path: Path, pool: ConnectionPool):
    """close() releases the file, even after a statement that failed or was not completed."""
    other, failed, half = pool.getconn(), pool.getconn(), pool.getconn()
    other.cursor.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        failed.cursor.execute("BEGIN IMMEDIATE")
    half.cursor.execute("SELECT 1 FROM sqlite_master")
    assert descriptors(path) > 0
    for connection in (failed, half, other):
        connection.close()
    assert descriptors(path) == 0


def test_drain_for_fork_waits_for_connections_in_use(pool: ConnectionPool):
    """drain_for_fork() closes idle connections, and waits for those in use."""
    idle, busy = pool.getconn(), pool.getconn()
    pool.putconn(idle)

    def work() -> None:
        time.sleep(0.05)
        pool.putconn(busy)

    worker = Thread(target=work)
    worker.start()
    pool.drain_for_fork(deadline())
    worker.join()
    assert idle.closed
    assert busy.closed


def test_child_of_a_fork_during_an_operation_raises(pool: ConnectionPool):
    """A child forked during an operation raises, and never uses what it inherited."""
    stuck: list[Connection] = [pool.getconn()]
    pool.drain_for_fork(time.monotonic() + 0.01)
    pool.reset_after_fork()
    assert not stuck[0].closed
    with pytest.raises(Exception, match="forked during an operation"):
        pool.getconn()


def test_half_created_connection_is_closed(path: Path):
    """A connection that is only half created is closed, without a warning."""
    database = sqlite3.connect(path)
    for attributes in ({}, {"database": database}):
        connection = Connection.__new__(Connection)
        for name, value in attributes.items():
            setattr(connection, name, value)
        del connection
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        database.execute("SELECT 1")
