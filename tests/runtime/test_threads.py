"""Threads that nodes run in: created on demand, and reused for a while."""

import asyncio
import time
from threading import Event, Thread, current_thread

import pytest

from fibonacci.plugin._runtime import threads as workers
from fibonacci.plugin._runtime.threads import Workers
from fibonacci.plugin.runtime import (
    DeadlineExceeded,
    NoThreadError,
    call_in_thread,
    resolve_host,
    run_in_thread,
)


def threads_of(pool: Workers, tasks: int) -> list[Thread]:
    """Return the threads that so many concurrent tasks run in; they are idle or gone afterwards."""
    go, found = Event(), []

    def task() -> None:
        found.append(current_thread())
        go.wait(10)

    for _ in range(tasks):
        pool.submit(task)
    while len(found) < tasks:
        time.sleep(0.001)
    go.set()
    rest = min(tasks, workers.MAX_IDLE)
    while len(pool._idle) < rest and any(one.is_alive() for one in found):
        time.sleep(0.001)
    return found


def test_each_task_has_a_thread() -> None:
    """As many tasks run at once as are submitted; exit waits for no thread."""
    threads = threads_of(Workers(), 20)
    assert len(set(threads)) == 20
    assert all(one.daemon and one.name.startswith("fibonacci-worker-") for one in threads)


def test_threads_are_reused() -> None:
    """An idle thread takes the next task."""
    pool = Workers()
    first = threads_of(pool, 3)
    assert set(threads_of(pool, 3)) == set(first)


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that gets no task ends after a while."""
    monkeypatch.setattr(workers, "IDLE_TIMEOUT", 0.02)
    pool = Workers()
    for thread in threads_of(pool, 5):
        thread.join(60)
        assert not thread.is_alive()
    assert not pool._idle


def test_limit_of_idle_threads() -> None:
    """Threads beyond the limit of idle ones end with their tasks."""
    threads = threads_of(Workers(), workers.MAX_IDLE + 3)
    for _ in range(500):
        if sum(one.is_alive() for one in threads) == workers.MAX_IDLE:
            break
        time.sleep(0.01)
    assert sum(one.is_alive() for one in threads) == workers.MAX_IDLE


def test_task_arrives_at_the_idle_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread whose idle timeout ends while a task is submitted to it takes the task."""
    monkeypatch.setattr(workers, "IDLE_TIMEOUT", 0.3)
    pool = Workers()
    [thread] = threads_of(pool, 1)
    pool._idle.clear()  # what submit does first
    time.sleep(0.6)
    assert thread.is_alive()
    done = Event()
    pool._tasks.put(done.set)  # what it does next
    assert done.wait(60)


def test_a_call_in_a_thread_ends_by_its_deadline() -> None:
    """Blocking work is abandoned at the deadline; otherwise its result or exception is returned."""
    with pytest.raises(DeadlineExceeded):
        call_in_thread(lambda: time.sleep(0.5), deadline=time.monotonic() + 0.01)
    assert call_in_thread(current_thread, deadline=time.monotonic() + 60) is not current_thread()
    with pytest.raises(ZeroDivisionError):
        call_in_thread(lambda: 1 / 0, deadline=time.monotonic() + 60)


def test_a_call_if_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call runs in the caller's thread if Python is shutting down."""

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    def lacks(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(workers, "_workers", Workers())
    monkeypatch.setattr(Thread, "start", refuse)
    assert call_in_thread(current_thread, deadline=time.monotonic() + 60) is current_thread()
    assert resolve_host("localhost", deadline=time.monotonic() + 60)
    monkeypatch.setattr(Thread, "start", lacks)
    with pytest.raises(NoThreadError, match="starts no further thread"):
        call_in_thread(current_thread, deadline=time.monotonic() + 60)
    with pytest.raises(NoThreadError, match="starts no further thread"):
        resolve_host("localhost", deadline=time.monotonic() + 60)
    with pytest.raises(NoThreadError, match="no thread can be started"):
        asyncio.run(run_in_thread(current_thread))


def test_a_call_while_python_shuts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle threads do nothing while Python shuts down: the call runs in the caller's thread."""
    assert call_in_thread(current_thread, deadline=time.monotonic() + 60) is not current_thread()
    monkeypatch.setattr(workers.sys, "is_finalizing", lambda: True)
    assert call_in_thread(current_thread, deadline=time.monotonic() + 60) is current_thread()
