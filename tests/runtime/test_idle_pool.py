"""Idle connections are reused for as long as that is safe."""

import logging
from time import monotonic

import pytest

from fibonacci.plugin.runtime import IdlePool


class Connection:
    """A connection that records its end."""

    idle_since = 0.0

    def __init__(self):
        self.is_open = True
        self.is_well = True

    def is_reusable(self):
        return self.is_well

    def close(self):
        self.is_open = False


@pytest.fixture
def pool():
    return IdlePool(max_idle=3, max_age=60)


def test_the_last_used_connection_is_reused_first(pool):
    """The connection that was returned last is reused first; one too many closes the oldest."""
    connections = [Connection() for _ in range(4)]
    for one in connections:
        pool.push(one)
    assert [one.is_open for one in connections] == [False, True, True, True]
    assert [pool.pop() for _ in range(4)] == [*reversed(connections[1:]), None]


def test_unusable_connections_are_closed(pool):
    """A connection that is broken, or was idle for too long, is closed and not reused."""
    broken, old, well = Connection(), Connection(), Connection()
    for one in (old, well, broken):
        pool.push(one)
    broken.is_well = False
    old.idle_since = monotonic() - 61
    assert pool.pop() is well
    assert pool.pop() is None
    assert not broken.is_open
    assert not old.is_open


def test_the_oldest_closes_after_a_burst(pool):
    """Each use closes one connection that was idle for too long."""
    old, well, used = (Connection() for _ in range(3))
    for one in (old, well, used):
        pool.push(one)
    old.idle_since = monotonic() - 61
    assert pool.pop() is used
    assert [old.is_open, well.is_open] == [False, True]


def test_timeout_after_a_rest_closes_as_old_connections(pool):
    """A timeout after a rest closes the connections that were idle as long, and no other."""
    old, newer, newest = (Connection() for _ in range(3))
    for one in (old, newer, newest):
        pool.push(one)
    old.idle_since = monotonic() - 10
    pool.clear_older_than(5)
    assert [old.is_open, newer.is_open, newest.is_open] == [False, True, True]
    assert [pool.pop(), pool.pop()] == [newest, newer]
    pool.clear_older_than(0)


def test_a_closed_pool_holds_nothing():
    """Closing ends idle connections, and those that are returned later."""
    pool = IdlePool(max_idle=3, max_age=60)
    first, second = Connection(), Connection()
    pool.push(first)
    pool.close()
    pool.push(second)
    assert [first.is_open, second.is_open] == [False, False]
    assert pool.pop() is None


def test_expired_connections_are_logged(caplog):
    """The logger gets a record for a connection that was idle for too long, and for no other."""
    caplog.set_level(logging.DEBUG)
    pool = IdlePool(max_idle=3, max_age=60, logger=logging.getLogger("of.a.test"), server="a:1")
    well, closed, old = (Connection() for _ in range(3))
    for connection in (well, closed, old):
        pool.push(connection)
    closed.is_well = False
    old.idle_since = monotonic() - 100
    assert pool.pop() is well
    pool.push(well)
    pool.close()
    assert [one.is_open for one in (well, closed, old)] == [False] * 3
    [record] = caplog.records
    assert (record.name, record.levelname) == ("of.a.test", "DEBUG")
    assert record.getMessage() == "closed a connection to a:1 that was idle for 100.0 s"


def test_another_thread_takes_the_connection(pool):
    """A connection that another thread took in between is no error."""
    pool._discard_oldest()
    pool._discard_oldest_if_expired(monotonic())
    assert pool.pop() is None
