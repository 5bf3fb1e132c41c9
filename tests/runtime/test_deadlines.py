"""Deadlines, the pauses between attempts, and expiry by this machine's clock."""

import asyncio
import random
import time
from time import monotonic

import pytest

from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    backoff,
    expires_at_ms,
    now_ms,
    remaining_ttl_ms,
    seconds_left,
    share_deadline,
    timeout_at,
)


def test_seconds_left():
    """The time left is positive; a passed deadline raises; None stays None."""
    assert 59 < seconds_left(monotonic() + 60) <= 60
    assert seconds_left(None) is None
    with pytest.raises(DeadlineExceeded, match="the time was up"):
        seconds_left(monotonic())


def test_candidates_share_a_deadline():
    """Each candidate gets an equal share of the time left, and the last one gets all of it."""
    deadline = monotonic() + 40
    assert 9 < share_deadline(deadline, 4) - monotonic() <= 10
    assert share_deadline(deadline, 1) == pytest.approx(deadline)


def test_timeout_never_ends_before_its_deadline():
    """A block that overruns its deadline ends with TimeoutError, and not before the deadline."""

    async def overrun():
        deadline = monotonic() + 0.02
        with pytest.raises(TimeoutError):
            async with timeout_at(deadline):
                await asyncio.sleep(60)
        assert monotonic() >= deadline
        async with timeout_at(None):
            await asyncio.sleep(0)

    asyncio.run(overrun())


def test_timeout_with_a_pause_between_two_clocks(monkeypatch):
    """A timeout is not early if its loop is paused between reading two clocks."""

    async def held_up():
        loop, deadline = asyncio.get_running_loop(), monotonic() + 0.05
        read = loop.time

        def slowly():
            now = read()
            time.sleep(0.02)
            return now

        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", slowly)
            timeout = timeout_at(deadline)
        due = timeout.when()
        assert due is not None
        left = due - read()
        assert left >= deadline - monotonic()

    asyncio.run(held_up())


def test_backoff_is_random_below_a_bound_that_doubles():
    """The pauses fill their range, which doubles with each attempt up to the cap."""
    for attempt, bound in ((1, 0.2), (2, 0.4), (5, 1.0), (10_000, 1.0)):
        pauses = [backoff(attempt, base=0.1, cap=1.0) for _ in range(300)]
        assert 0 <= min(pauses) < 0.2 * bound
        assert 0.8 * bound < max(pauses) <= bound


def test_backoff_leaves_a_seeded_sequence_alone():
    """A pause takes nothing from the random numbers of an application that has seeded them."""
    before = random.getstate()
    backoff(3, base=0.1, cap=1.0)
    assert random.getstate() == before


def test_expiry_rounds_up(monkeypatch):
    """A record lives its whole ttl, wherever in a millisecond it is written."""
    for nanoseconds in (5_000_000, 5_000_001, 5_999_999):
        monkeypatch.setattr(time, "time_ns", lambda now=nanoseconds: now)
        monkeypatch.setattr("fibonacci.plugin._runtime.timing.time_ns", time.time_ns)
        expires = expires_at_ms(1)
        assert now_ms() == 5
        assert expires * 1_000_000 >= nanoseconds + 1_000_000
        assert 0 <= remaining_ttl_ms(expires) <= 1
    assert remaining_ttl_ms(5) < 0
