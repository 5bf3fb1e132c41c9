"""Salts that match no passphrase: they take little time, and valid records still open."""

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
from .test_passphrases import AAD, OTHER, PHRASE, Restart, forged, kdf_salt, refused

NOT_TRIED = "no key was derived for the salt of this record, because too many other salts"
UNMATCHED = "this memory has a passphrase. Append"
FREE = round(BURST / (SECONDS / CPU_SHARE - SECONDS))
"""Unmatched salts that are tried before the next one waits."""

pytestmark = pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")


def test_valid_records_open_after_forged_ones(
    restart: Restart, derived: list[bytes], clock: Clock
) -> None:
    """After 8 and after 80 forged records, valid ones open in this store and in others."""
    good, theirs = restart(PHRASE).seal(b"good", AAD), restart(OTHER).seal(b"theirs", AAD)
    derivations = Derivations(clock, clock.sleep)
    mine, other = (AesGcmCipher(read_keys([text]), derivations) for text in (PHRASE, OTHER))
    for number in range(8):
        assert UNMATCHED in refused(mine, forged(good, number))
    started = clock()
    assert mine.open(good, AAD) == b"good"
    assert clock() - started <= SECONDS / CPU_SHARE
    assert kdf_salt(mine.seal(b"v", AAD)) == kdf_salt(good)
    for number in range(8, 80):
        assert UNMATCHED in refused(mine, forged(good, number))
    started = clock()
    assert other.open(theirs, AAD) == b"theirs"
    assert clock() - started == pytest.approx(SECONDS)  # without waiting


def test_forged_records_take_a_quarter_of_a_cpu(
    restart: Restart, derived: list[bytes], clock: Clock
) -> None:
    """Forged records read in a row are slowed down, with new memories too."""
    sealed, derivations = restart(PHRASE).seal(b"v", AAD), Derivations(clock, clock.sleep)
    del derived[:]
    started = clock()
    for number in range(100):
        cipher = AesGcmCipher(read_keys([PHRASE]), derivations)
        assert UNMATCHED in refused(cipher, forged(sealed, number))
    assert len(derived) == 100
    assert len(derived) * SECONDS <= CPU_SHARE * (clock() - started + BURST) + SECONDS


def test_known_salts_never_wait(restart: Restart, derived: list[bytes], clock: Clock) -> None:
    """Known salts, matched or not, never wait, and new valid ones cause no wait."""
    cipher = restart(PHRASE)
    good = [restart(PHRASE).seal(b"v", AAD) for _ in range(50)]
    started = clock()
    assert all(cipher.open(record, AAD) == b"v" for record in good)
    assert clock() - started == pytest.approx(50 * SECONDS)
    for number in range(FREE):
        assert UNMATCHED in refused(cipher, forged(good[0], number))
    started = clock()
    assert UNMATCHED in refused(cipher, forged(good[0], 1))
    assert cipher.open(good[0], AAD) == b"v"
    assert clock() == started


def test_event_loop_never_waits(restart: Restart, derived: list[bytes], clock: Clock) -> None:
    """In an event loop a new salt is refused instead of waiting."""
    cipher = restart(PHRASE)
    good = restart(PHRASE).seal(b"good", AAD)
    for number in range(FREE):
        refused(cipher, forged(good, number))

    async def read() -> str:
        return refused(cipher, good)

    started = clock()
    assert asyncio.run(read()).startswith(NOT_TRIED)
    assert clock() == started
    assert cipher.open(good, AAD) == b"good"  # a thread waits


def test_waiting_reader_times_out(clock: Clock) -> None:
    """A waiting reader times out with an error that says that nothing was tried."""
    limiter = DerivationLimiter(clock, clock.sleep)
    limiter.record_failure(100)
    started = clock()
    with pytest.raises(DecryptionError, match=NOT_TRIED):
        limiter.wait(limiter.deadline())
    assert clock() - started == pytest.approx(WAIT_TIMEOUT, abs=0.1)


def waiting(limiter: DerivationLimiter, serve: Callable[[], object]) -> Thread:
    """Return a thread that waits for the limiter."""

    def wait() -> None:
        try:
            limiter.wait(limiter.deadline())
        except DecryptionError:
            return
        serve()

    before = limiter._waiters[-1:]
    thread = Thread(target=wait)
    thread.start()
    while limiter._waiters[-1:] == before and thread.is_alive():
        sleep(0.001)
    return thread


def test_last_reader_is_served_first(clock: Clock) -> None:
    """The last reader to arrive is served first."""
    served = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if not served:
            served.append("later")
            # While the first reader waits, as another thread would.
            limiter.wait(limiter.deadline())

    limiter = DerivationLimiter(clock, sleep)
    limiter.record_failure((BURST + 1) * CPU_SHARE)
    limiter.wait(limiter.deadline())
    assert served == ["later"]


def test_number_of_waiting_threads_is_bounded() -> None:
    """With more than MAX_WAITERS readers, the one that waits longest is refused."""
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
