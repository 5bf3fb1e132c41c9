"""Idle connections are used again, for as long as that is safe."""

from time import monotonic

import pytest

from fibonacci.plugin.runtime import IdlePool


class Connection:
    """A connection that can be asked what became of it."""

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


def test_the_last_one_used_is_used_first(pool):
    """The connection that came last is given first; one too many closes the oldest."""
    connections = [Connection() for _ in range(4)]
    for one in connections:
        pool.push(one)
    assert [one.is_open for one in connections] == [False, True, True, True]
    assert [pool.pop() for _ in range(4)] == [*reversed(connections[1:]), None]


def test_what_can_not_be_used_is_closed(pool):
    """A connection that is broken, or was idle for too long, is closed and not given."""
    broken, old, well = Connection(), Connection(), Connection()
    for one in (old, well, broken):
        pool.push(one)
    broken.is_well = False
    old.idle_since = monotonic() - 61
    assert pool.pop() is well
    assert pool.pop() is None
    assert not broken.is_open
    assert not old.is_open


def test_the_oldest_ends_after_a_burst(pool):
    """Each use closes one connection that nobody needed for too long."""
    old, well, used = (Connection() for _ in range(3))
    for one in (old, well, used):
        pool.push(one)
    old.idle_since = monotonic() - 61
    assert pool.pop() is used
    assert [old.is_open, well.is_open] == [False, True]


def test_those_that_rested_as_long_are_closed(pool):
    """A time-out after a rest closes the connections which were idle as long, and no other."""
    old, newer, newest = (Connection() for _ in range(3))
    for one in (old, newer, newest):
        pool.push(one)
    old.idle_since = monotonic() - 10
    pool.clear_older_than(5)
    assert [old.is_open, newer.is_open, newest.is_open] == [False, True, True]
    assert [pool.pop(), pool.pop()] == [newest, newer]
    pool.clear_older_than(0)


def test_a_closed_pool_keeps_nothing():
    """Closing ends what is idle, and what comes back later; dropping is the owner's to define."""
    dropped = []
    pool = IdlePool(max_idle=3, max_age=60, discard=dropped.append)
    first, second = Connection(), Connection()
    pool.push(first)
    pool.close()
    pool.push(second)
    assert dropped == [first, second]
    assert pool.pop() is None


def test_another_thread_is_faster(pool):
    """A connection that another thread took in between is missed by nobody."""
    pool._discard_oldest()
    pool._discard_expired(monotonic())
    assert pool.pop() is None
