"""A fork while other threads derive, open or seal: the child does not hang (C21)."""

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
    # Forking beside threads is what is tested.
    pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning"),
]

PHRASE = "correct horse battery staple"


def restarted(key: str = PHRASE, **settings: int) -> AesGcmCipher:
    return AesGcmCipher(read_keys([key]), Derivations(), **settings)


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads take turns as often as they can, so that forks meet them anywhere."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@contextmanager
def busy(work: Callable[[], object]) -> Iterator[None]:
    """Two threads do the work again and again."""
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


def test_forks_beside_a_derivation(derived: list[bytes]):
    """A derivation comes to its end before the fork, and the child derives for itself."""

    def derive() -> bool:
        cipher = restarted()
        return cipher.open(cipher.seal(b"value", b""), b"") == b"value"

    with busy(derive):
        for _ in range(40):
            in_child(derive)


def test_a_fork_waits_for_a_derivation_of_full_cost():
    """And no longer: the next thread in the queue does not come first for ever."""
    cipher = restarted()
    thread = Thread(target=cipher.seal, args=(b"parent", b""))
    thread.start()
    in_child(lambda: cipher.open(cipher.seal(b"child", b""), b"") == b"child")
    thread.join()
    assert cipher.open(cipher.seal(b"parent", b""), b"") == b"parent"


def test_threads_on_both_sides_derive_on(derived: list[bytes]):
    """What the fork held is free again, in the parent and in the child."""

    def in_a_thread() -> bool:
        sealed: list[bytes] = []
        work = Thread(target=lambda: sealed.append(restarted().seal(b"v", b"")), daemon=True)
        work.start()
        work.join(60)
        return len(sealed) == 1

    in_child(in_a_thread)
    assert in_a_thread()


def test_forks_beside_threads_that_open(derived: list[bytes]):
    """Tables that other threads had in hand when it was forked are whole, and free."""
    writer = restarted(session_limit=1)
    sealed = [writer.seal(b"%d" % number, b"") for number in range(50)]
    cipher, faults = restarted(), []

    def open_all() -> bool:
        cipher._opening_session.cache_clear()  # so that each goes through the tables
        opened = [cipher.open(one, b"") for one in sealed] == [b"%d" % n for n in range(50)]
        faults.extend([] if opened else [1])
        return opened

    with busy(open_all):
        for _ in range(20):
            in_child(open_all)
    assert not faults


def test_forks_beside_threads_that_seal():
    """Large values, for which OpenSSL lets other threads run."""
    cipher, value = restarted("ab" * 31 + "cd"), bytes(2**20)

    def seal() -> bool:
        return cipher.open(cipher.seal(value, b""), b"") == value

    with busy(seal):
        for _ in range(20):
            in_child(seal)


def test_a_fork_does_not_wait_for_ever():
    """A thread that is stuck keeps nobody from forking, and its lock stays its own."""
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


def test_the_thread_that_derives_may_fork():
    """In the handler of a signal, say: it does not wait for itself."""
    lock = ForkSafeLock()
    with lock.lock:
        lock.acquire_before_fork()
        lock.release_after_fork()
    thread = Thread(target=lock.lock.acquire)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
