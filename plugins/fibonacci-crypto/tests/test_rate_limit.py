"""Salts that open nothing: they keep no good record from being read, and take little time."""

import asyncio
from collections.abc import Callable
from threading import Thread
from time import sleep

import pytest

from fibonacci.errors import DecryptionError
from fibonacci_crypto import AesGcmCipher
from fibonacci_crypto.derivations import Derivations
from fibonacci_crypto.key_sources import read_keys
from fibonacci_crypto.rate_limit import (
    BURST,
    CPU_SHARE,
    MAX_WAITERS,
    WAIT_TIMEOUT,
    DerivationLimiter,
)

from .conftest import SECONDS, Clock
from .test_passphrases import AAD, OTHER, PHRASE, Restart, kdf_salt, planted, refused

NOT_TRIED = "no key was derived for the salt of this record, because too many other salts"
STRANGER = "this memory has a passphrase. Append"
FREE = round(BURST / (SECONDS / CPU_SHARE - SECONDS))
"""Salts that open nothing before the next one waits."""

pytestmark = pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")


def test_planted_records_lock_nobody_out(
    restart: Restart, derived: list[bytes], clock: Clock
) -> None:
    """Right after eight, and after eighty, good records open in this store and in others."""
    good, theirs = restart(PHRASE).seal(b"good", AAD), restart(OTHER).seal(b"theirs", AAD)
    derivations = Derivations(clock, clock.sleep)
    mine, other = (AesGcmCipher(read_keys([text]), derivations) for text in (PHRASE, OTHER))
    for number in range(8):
        assert STRANGER in refused(mine, planted(good, number))
    began = clock()
    assert mine.open(good, AAD) == b"good"
    assert clock() - began <= SECONDS / CPU_SHARE
    assert kdf_salt(mine.seal(b"v", AAD)) == kdf_salt(good)
    for number in range(8, 80):
        assert STRANGER in refused(mine, planted(good, number))
    began = clock()
    assert other.open(theirs, AAD) == b"theirs"
    assert clock() - began == pytest.approx(SECONDS)  # and has not waited at all


def test_planted_records_take_a_quarter_of_a_processor(
    restart: Restart, derived: list[bytes], clock: Clock
) -> None:
    """Whoever plants one after the other is slowed down; a new memory is no help."""
    sealed, derivations = restart(PHRASE).seal(b"v", AAD), Derivations(clock, clock.sleep)
    del derived[:]
    began = clock()
    for number in range(100):
        cipher = AesGcmCipher(read_keys([PHRASE]), derivations)
        assert STRANGER in refused(cipher, planted(sealed, number))
    assert len(derived) == 100
    assert len(derived) * SECONDS <= CPU_SHARE * (clock() - began + BURST) + SECONDS


def test_a_salt_that_is_known_never_waits(
    restart: Restart, derived: list[bytes], clock: Clock
) -> None:
    """Neither a good one nor a stranger; and good ones that are new make nobody wait."""
    cipher = restart(PHRASE)
    good = [restart(PHRASE).seal(b"v", AAD) for _ in range(50)]
    began = clock()
    assert all(cipher.open(one, AAD) == b"v" for one in good)
    assert clock() - began == pytest.approx(50 * SECONDS)
    for number in range(FREE):
        assert STRANGER in refused(cipher, planted(good[0], number))
    began = clock()
    assert STRANGER in refused(cipher, planted(good[0], 1))
    assert cipher.open(good[0], AAD) == b"v"
    assert clock() == began


def test_an_event_loop_never_waits(restart: Restart, derived: list[bytes], clock: Clock) -> None:
    """It would hold up everybody: a salt that is new is not tried, and told so."""
    cipher = restart(PHRASE)
    good = restart(PHRASE).seal(b"good", AAD)
    for number in range(FREE):
        refused(cipher, planted(good, number))

    async def read() -> str:
        return refused(cipher, good)

    began = clock()
    assert asyncio.run(read()).startswith(NOT_TRIED)
    assert clock() == began
    assert cipher.open(good, AAD) == b"good"  # a thread has waited


def test_a_reader_whose_turn_does_not_come(clock: Clock) -> None:
    """Its time is limited, and it is told that nothing was tried."""
    limiter = DerivationLimiter(clock, clock.sleep)
    limiter.record_failure(100)
    began = clock()
    with pytest.raises(DecryptionError, match=NOT_TRIED):
        limiter.wait(limiter.deadline())
    assert clock() - began == pytest.approx(WAIT_TIMEOUT, abs=0.1)


def waiting(limiter: DerivationLimiter, told: Callable[[], object]) -> Thread:
    """A thread that waits for its turn."""

    def wait() -> None:
        try:
            limiter.wait(limiter.deadline())
        except DecryptionError:
            return
        told()

    before = limiter._waiters[-1:]
    thread = Thread(target=wait)
    thread.start()
    while limiter._waiters[-1:] == before and thread.is_alive():
        sleep(0.001)
    return thread


def test_who_came_last_is_first(clock: Clock) -> None:
    """So that a good record's reader is not behind all who read what somebody planted."""
    served = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if not served:
            served.append("later")
            limiter.wait(limiter.deadline())  # while the first one waits, as another thread would

    limiter = DerivationLimiter(clock, sleep)
    limiter.record_failure((BURST + 1) * CPU_SHARE)
    limiter.wait(limiter.deadline())
    assert served == ["later"]


def test_few_threads_wait() -> None:
    """Where more come, who waits longest is refused: no flood takes all threads there are."""
    clock, served = Clock(), []
    limiter = DerivationLimiter(clock, lambda _: sleep(0.001))
    limiter.record_failure(100)
    threads = [waiting(limiter, lambda: served.append(1)) for _ in range(MAX_WAITERS + 3)]
    for thread in threads[:3]:
        thread.join()
    assert all(thread.is_alive() for thread in threads[3:])
    clock.now += WAIT_TIMEOUT
    for thread in threads:
        thread.join()
    assert served == []
