"""A fork while other threads derive, open or seal does not hang the child (C21)."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from forks import in_child

from fibonacci_crypto import AesGcmCipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.forks import FORK_TIMEOUT, ForkSafeLock
from fibonacci_crypto.key_sources import read_keys

pytestmark = [
    pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning"),
    # These tests fork while threads run.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]

PHRASE = "correct horse battery staple"


def restarted(key: str = PHRASE, **settings: int) -> AesGcmCipher:
    return AesGcmCipher(read_keys([key]), Derivations(), **settings)


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Have threads switch as often as possible, so that forks interrupt them anywhere."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@contextmanager
def busy(work: Callable[[], object]) -> Iterator[None]:
    """Run two threads that repeat the work."""
    done = Event()

    def repeat() -> None:
        while not done.is_set():
            work()

    threads = [Thread(target=repeat) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_fork_during_a_derivation(derived: list[bytes]):
    """A fork waits for a running derivation, and the child derives its own key."""

    def derive() -> bool:
        cipher = restarted()
        return cipher.open(cipher.seal(b"value", b""), b"") == b"value"

    with busy(derive):
        for _ in range(40):
            in_child(derive)


def test_fork_waits_for_a_derivation_of_full_cost():
    """A fork waits for one derivation at full cost."""
    cipher = restarted()
    thread = Thread(target=cipher.seal, args=(b"parent", b""))
    thread.start()
    in_child(lambda: cipher.open(cipher.seal(b"child", b""), b"") == b"child")
    thread.join()
    assert cipher.open(cipher.seal(b"parent", b""), b"") == b"parent"


def test_lock_is_free_in_parent_and_child(derived: list[bytes]):
    """After a fork threads derive keys in the parent and in the child."""

    def in_a_thread() -> bool:
        sealed: list[bytes] = []
        work = Thread(target=lambda: sealed.append(restarted().seal(b"v", b"")), daemon=True)
        work.start()
        work.join(60)
        return len(sealed) == 1

    in_child(in_a_thread)
    assert in_a_thread()


def test_fork_during_opening(derived: list[bytes]):
    """The caches are intact and unlocked in a child forked while threads open records."""
    writer = restarted(session_limit=1)
    sealed = [writer.seal(b"%d" % number, b"") for number in range(50)]
    cipher, failures = restarted(), []

    def open_all() -> bool:
        cipher._opening_session.cache_clear()  # so that each record uses the caches
        opened = [cipher.open(record, b"") for record in sealed] == [b"%d" % n for n in range(50)]
        failures.extend([] if opened else [1])
        return opened

    with busy(open_all):
        for _ in range(20):
            in_child(open_all)
    assert not failures


def test_fork_during_sealing():
    """A child forked while threads seal large values seals and opens."""
    cipher, value = restarted("ab" * 31 + "cd"), bytes(2**20)

    def seal() -> bool:
        return cipher.open(cipher.seal(value, b""), b"") == value

    with busy(seal):
        for _ in range(20):
            in_child(seal)


def test_fork_times_out():
    """A fork stops waiting for a stuck thread, whose lock remains its own."""
    assert FORK_TIMEOUT == 5
    lock, held, done = ForkSafeLock(timeout=0.05), Event(), Event()

    def stuck() -> None:
        with lock.lock:
            held.set()
            done.wait()

    thread = Thread(target=stuck)
    thread.start()
    held.wait()
    lock.acquire_before_fork()
    lock.release_after_fork()
    assert not lock.lock.acquire(blocking=False)
    done.set()
    thread.join()
    assert lock.lock.acquire(blocking=False)
    lock.lock.release()


def test_deriving_thread_may_fork():
    """The thread that holds the lock may fork, as in a signal handler."""
    lock = ForkSafeLock()
    with lock.lock:
        lock.acquire_before_fork()
        lock.release_after_fork()
    thread = Thread(target=lock.lock.acquire)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
