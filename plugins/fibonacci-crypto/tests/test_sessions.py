"""Sessions: one derived key for many records, and never the same one twice."""

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


def test_a_session_has_one_salt_and_many_nonces(restart: Restart):
    """What costs is done once; what must not repeat is drawn for each record."""
    cipher = restart()
    sealed = [cipher.seal(b"v", AAD) for _ in range(1_000)]
    assert len({salt(one) for one in sealed}) == 1
    assert len({nonce(one) for one in sealed}) == 1_000


def test_each_cipher_has_its_own_salt(restart: Restart):
    """Two processes with one key never share a session."""
    assert len({salt(restart().seal(b"v", AAD)) for _ in range(100)}) == 100


def test_a_session_ends_at_its_limit(restart: Restart):
    """Each salt serves exactly as many records, and all of them open."""
    cipher = restart(session_limit=10)
    sealed = [cipher.seal(b"v", AAD) for _ in range(35)]
    assert list(Counter(map(salt, sealed)).values()) == [10, 10, 10, 5]
    assert all(cipher.open(one, AAD) == b"v" for one in sealed)


def test_the_limit_is_a_million(restart: Restart):
    """2^20 records a session: with random nonces of 96 bits, NIST SP 800-38D allows 2^32."""
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
    """No session goes over its limit, no nonce is used twice, and all open what all sealed."""
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
    assert len({(salt(one), nonce(one)) for one in sealed}) == 4_000
    assert max(Counter(map(salt, sealed)).values()) <= 100


def test_sessions_of_others_are_remembered_within_bounds(restart: Restart):
    """A store of many processes' records does not fill the memory of the one that reads it."""
    reader, writer = restart(), restart(session_limit=1)
    sealed = [writer.seal(b"v", AAD) for _ in range(MAX_SESSIONS + 100)]
    for _ in range(2):
        assert all(reader.open(one, AAD) == b"v" for one in sealed)
    assert reader._opening_session.cache_info().currsize == MAX_SESSIONS == 1_024


def test_a_cipher_goes_when_it_is_dropped(restart: Restart):
    """Its keys don't wait for the collector: an application may make one a request."""
    cipher = restart()
    cipher.open(cipher.seal(b"v", AAD), AAD)
    watched = weakref.ref(cipher)
    gc.disable()
    del cipher
    gone = watched() is None
    gc.enable()
    assert gone


def test_a_refused_header_is_not_remembered(restart: Restart):
    """Else whoever plants records would push out the sessions in use."""
    reader, sealed = restart(), restart().seal(b"v", AAD)
    for number in range(10):
        with pytest.raises(DecryptionError, match="header was modified"):
            reader.open(sealed[:45] + bytes([sealed[45] ^ 1 + number]) + sealed[46:], AAD)
    assert reader._opening_session.cache_info().currsize == 0


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.bare  # to measure a child takes half a second
def test_a_fork_begins_a_session(restart: Restart):
    """Parent and children never seal under one salt; each opens what the others sealed."""
    cipher = restart()
    before = cipher.seal(b"before", AAD)
    read, write = os.pipe()

    def child() -> bool:
        mine = [cipher.seal(b"child", AAD) for _ in range(100)]
        os.write(write, mine[0] + mine[99])
        return (
            cipher.open(before, AAD) == b"before"
            and len({salt(one) for one in mine}) == 1
            and len({nonce(one) for one in mine}) == 100
        )

    for _ in range(3):
        in_child(child)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    size = len(before) - len(b"before") + len(b"child")
    children = [told[at : at + size] for at in range(0, len(told), size)]
    assert len(children) == 6
    assert all(cipher.open(one, AAD) == b"child" for one in children)
    after = cipher.seal(b"after", AAD)
    assert salt(after) == salt(before)
    assert len({salt(one) for one in (before, *children)}) == 4
