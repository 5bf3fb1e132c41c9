"""Sessions: one derived key for many records, never the same one twice."""

import gc
import os
import weakref
from collections import Counter
from collections.abc import Callable
from threading import Barrier, Thread

import pytest
from forks import in_child

from fibonacci.errors import DecryptionError
from fibonacci_crypto import AesGcmCipher
from fibonacci_crypto.cipher import MAX_SESSIONS
from fibonacci_crypto.keys import SESSION_LIMIT

Restart = Callable[..., AesGcmCipher]

AAD = b"an address"


def salt(sealed: bytes) -> bytes:
    return sealed[14:46]


def nonce(sealed: bytes) -> bytes:
    return sealed[78:90]


def test_session_has_one_salt_and_many_nonces(restart: Restart):
    """The records of a session share the salt and have different nonces."""
    cipher = restart()
    sealed = [cipher.seal(b"v", AAD) for _ in range(1_000)]
    assert len({salt(record) for record in sealed}) == 1
    assert len({nonce(record) for record in sealed}) == 1_000


def test_each_cipher_has_its_own_salt(restart: Restart):
    """Two ciphers with one key have different salts."""
    assert len({salt(restart().seal(b"v", AAD)) for _ in range(100)}) == 100


def test_session_ends_at_its_limit(restart: Restart):
    """A salt seals exactly session_limit records."""
    cipher = restart(session_limit=10)
    sealed = [cipher.seal(b"v", AAD) for _ in range(35)]
    assert list(Counter(map(salt, sealed)).values()) == [10, 10, 10, 5]
    assert all(cipher.open(record, AAD) == b"v" for record in sealed)


def test_default_session_limit(restart: Restart):
    """A session seals 2^20 records; NIST SP 800-38D allows 2^32 with random nonces."""
    assert SESSION_LIMIT == 1_048_576
    cipher = restart()
    first = cipher.seal(b"", AAD)
    session = cipher._sealing_session
    assert session is not None
    for _ in range(SESSION_LIMIT - 2):
        next(session.numbers)
    assert salt(cipher.seal(b"", AAD)) == salt(first)
    assert salt(cipher.seal(b"", AAD)) != salt(first)


def test_threads_share_a_cipher(restart: Restart):
    """In many threads no session exceeds its limit, no nonce repeats, and all records open."""
    cipher, sealed, together = restart(session_limit=100), [], Barrier(8)

    def work() -> None:
        together.wait()
        for number in range(500):
            record = cipher.seal(b"%d" % number, AAD)
            assert cipher.open(record, AAD) == b"%d" % number
            sealed.append(record)

    threads = [Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(salt(record), nonce(record)) for record in sealed}) == 4_000
    assert max(Counter(map(salt, sealed)).values()) <= 100


def test_opening_sessions_are_cached_within_bounds(restart: Restart):
    """The cache of sessions for opening has a bounded size."""
    reader, writer = restart(), restart(session_limit=1)
    sealed = [writer.seal(b"v", AAD) for _ in range(MAX_SESSIONS + 100)]
    for _ in range(2):
        assert all(reader.open(record, AAD) == b"v" for record in sealed)
    assert reader._opening_session.cache_info().currsize == MAX_SESSIONS == 1_024


def test_cipher_is_freed_without_the_collector(restart: Restart):
    """A cipher and its keys are freed with its last reference."""
    cipher = restart()
    cipher.open(cipher.seal(b"v", AAD), AAD)
    watched = weakref.ref(cipher)
    gc.disable()
    del cipher
    gone = watched() is None
    gc.enable()
    assert gone


def test_refused_header_is_not_cached(restart: Restart):
    """A refused header does not evict a cached session."""
    reader, sealed = restart(), restart().seal(b"v", AAD)
    for number in range(10):
        with pytest.raises(DecryptionError, match="header was modified"):
            reader.open(sealed[:45] + bytes([sealed[45] ^ 1 + number]) + sealed[46:], AAD)
    assert reader._opening_session.cache_info().currsize == 0


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.bare  # to measure a child takes half a second
def test_fork_starts_a_new_session(restart: Restart):
    """Parent and children seal with different salts, and open each other's records."""
    cipher = restart()
    before = cipher.seal(b"before", AAD)
    read, write = os.pipe()

    def child() -> bool:
        mine = [cipher.seal(b"child", AAD) for _ in range(100)]
        os.write(write, mine[0] + mine[99])
        return (
            cipher.open(before, AAD) == b"before"
            and len({salt(record) for record in mine}) == 1
            and len({nonce(record) for record in mine}) == 100
        )

    for _ in range(3):
        in_child(child)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    size = len(before) - len(b"before") + len(b"child")
    children = [data[at : at + size] for at in range(0, len(data), size)]
    assert len(children) == 6
    assert all(cipher.open(record, AAD) == b"child" for record in children)
    after = cipher.seal(b"after", AAD)
    assert salt(after) == salt(before)
    assert len({salt(record) for record in (before, *children)}) == 4
