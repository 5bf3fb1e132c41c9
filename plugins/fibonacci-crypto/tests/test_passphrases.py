"""Passphrases: one derivation per salt, few salts, and little work for forged records."""

import random
import signal
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest

from fibonacci.errors import ConfigurationError, DecryptionError, EncryptionError
from fibonacci.plugin import CipherSettings
from fibonacci_crypto import AesGcmCipher, fibonacci_encryption, keys
from fibonacci_crypto.derivations import MAX_SALTS, MAX_UNMATCHED_SALTS, Derivations
from fibonacci_crypto.key_sources import read_keys

from .conftest import QuickArgon2id

Restart = Callable[..., AesGcmCipher]

PHRASE, OTHER = "correct horse battery staple", "another horse battery staple"
RAW = "e" * 63 + "f"
AAD = b"an address"

pytestmark = pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")


def kdf_salt(sealed: bytes) -> bytes:
    return sealed[15:31]


def forged(sealed: bytes, number: int) -> bytes:
    """Return the record with a salt that matches no passphrase."""
    return sealed[:15] + number.to_bytes(16, "big") + sealed[31:]


def refused(cipher: AesGcmCipher, sealed: bytes) -> str:
    with pytest.raises(DecryptionError) as caught:
        cipher.open(sealed, AAD)
    return str(caught.value)


def test_derivation_is_lazy(restart: Restart, derived: list[bytes]):
    """An unused cipher derives nothing; the first record derives once."""
    cipher = restart(PHRASE)
    assert derived == []
    sealed = [cipher.seal(b"v", AAD) for _ in range(10)]
    assert all(cipher.open(record, AAD) == b"v" for record in sealed)
    assert derived == [kdf_salt(sealed[0])]


def test_sessions_share_a_salt(restart: Restart, derived: list[bytes]):
    """A new session derives nothing."""
    cipher = restart(PHRASE, session_limit=1)
    assert len({cipher.seal(b"v", AAD)[31:63] for _ in range(10)}) == 10
    assert len(derived) == 1


def test_each_process_has_its_own_salt(restart: Restart, derived: list[bytes]):
    """A process that has opened no record seals with its own salt."""
    assert len({kdf_salt(restart(PHRASE).seal(b"v", AAD)) for _ in range(20)}) == 20


def test_salt_of_an_opened_record_is_reused(restart: Restart, derived: list[bytes]):
    """A process that opens a record before it seals one seals with that record's salt."""
    first = restart(PHRASE)
    sealed = first.seal(b"0", AAD)
    for number in range(20):
        later = restart(PHRASE)
        assert later.open(sealed, AAD) == b"%d" % number
        sealed = later.seal(b"%d" % (number + 1), AAD)
    assert set(derived) == {kdf_salt(sealed)}
    assert len(derived) == 21


def test_salt_of_the_first_record_is_used(restart: Restart, derived: list[bytes]):
    """The salt of the first opened record is used, whatever is opened later."""
    cipher, one, two = restart(PHRASE), restart(PHRASE), restart(PHRASE)
    first, second = one.seal(b"1", AAD), two.seal(b"2", AAD)
    assert cipher.open(first, AAD) + cipher.open(second, AAD) + cipher.open(first, AAD) == b"121"
    assert kdf_salt(cipher.seal(b"v", AAD)) == kdf_salt(first)


def test_salt_of_another_passphrase_is_not_reused(restart: Restart, derived: list[bytes]):
    """Each passphrase of a list has its own salt."""
    sealed = restart(OTHER).seal(b"v", AAD)
    cipher = restart(PHRASE, OTHER)
    assert cipher.open(sealed, AAD) == b"v"
    assert kdf_salt(cipher.seal(b"v", AAD)) != kdf_salt(sealed)


def test_process_has_one_salt(derived: list[bytes]):
    """All ciphers of a process derive a passphrase's key once."""
    settings = CipherSettings(name="aes-256-gcm", keys=("a passphrase of this test only",))
    ciphers = [fibonacci_encryption(settings) for _ in range(5)]
    sealed = [cipher.seal(b"v", AAD) for cipher in ciphers]
    assert all(cipher.open(record, AAD) == b"v" for cipher in ciphers for record in sealed)
    assert derived == [kdf_salt(sealed[0])]


def test_record_is_current_with_the_salt_in_use(restart: Restart, derived: list[bytes]):
    """Only records with the current salt are current, so rewrapping leaves one salt."""
    one, two = restart(PHRASE), restart(PHRASE)
    mine, theirs = one.seal(b"v", AAD), two.seal(b"v", AAD)
    assert one.is_current(mine)
    assert not one.is_current(theirs)
    assert not restart(PHRASE).is_current(mine)
    assert not restart(RAW, PHRASE).is_current(mine)
    assert len(derived) == 2


@pytest.mark.parametrize("processes", [20, pytest.param(200, marks=pytest.mark.long)])
def test_restarted_processes_open_each_others_records(
    restart: Restart, derived: list[bytes], processes: int
):
    """Processes that seal first have their own salts, and open each other's records."""
    ciphers = [restart(PHRASE) for _ in range(processes)]
    sealed = [cipher.seal(b"%d" % number, AAD) for number, cipher in enumerate(ciphers)]
    assert len(set(map(kdf_salt, sealed))) == processes
    for _ in range(2):
        for cipher in ciphers:
            opened = [cipher.open(record, AAD) for record in sealed]
            assert opened == [b"%d" % number for number in range(processes)]
    assert len(derived) == processes**2


@pytest.mark.long
def test_two_hundred_restarts_at_full_cost(restart: Restart):
    """Two hundred processes with full Argon2id open each other's records."""
    writers = [restart(PHRASE) for _ in range(100)]
    sealed = [cipher.seal(b"%d" % number, AAD) for number, cipher in enumerate(writers)]
    for number in range(100):
        reader = restart(PHRASE)
        assert reader.open(sealed[number], AAD) == b"%d" % number
        sealed.append(reader.seal(b"%d" % (100 + number), AAD))
    last = restart(PHRASE)
    assert [last.open(record, AAD) for record in sealed] == [
        b"%d" % number for number in range(200)
    ]
    assert len(set(map(kdf_salt, sealed))) == 100


def test_unmatched_salt_is_derived_once(restart: Restart, derived: list[bytes]):
    """Reading a record that does not open again derives nothing."""
    cipher = restart(PHRASE)
    sealed = forged(cipher.seal(b"v", AAD), 1)
    for _ in range(100):
        assert "Append the record's key or passphrase" in refused(cipher, sealed)
    assert len(derived) == 2


def test_rotated_passphrase_is_not_limited(restart: Restart, derived: list[bytes]):
    """Records of an old passphrase in the list do not count as failures."""
    old = [restart(OTHER).seal(b"v", AAD) for _ in range(20)]
    cipher = restart(PHRASE, OTHER)
    assert all(cipher.open(record, AAD) == b"v" for record in old)
    assert len(derived) == 20 + 2 * 20


def test_salt_is_tried_with_each_passphrase(clock: Any, derived: list[bytes], restart: Restart):
    """A salt that one passphrase did not match is tried with the others."""
    sealed, derivations = restart(OTHER).seal(b"v", AAD), Derivations(clock, clock.sleep)
    refused(AesGcmCipher(read_keys([PHRASE]), derivations), sealed)
    assert AesGcmCipher(read_keys([PHRASE, OTHER]), derivations).open(sealed, AAD) == b"v"
    assert derived == [kdf_salt(sealed)] * 3


def test_known_salt_derives_nothing(restart: Restart, derived: list[bytes]):
    """A record with a known salt and a modified key id is refused without a derivation."""
    cipher = restart(PHRASE)
    sealed = cipher.seal(b"v", AAD)
    for bit in range(64):
        changed = int.from_bytes(sealed[6:14], "big") ^ 1 << bit
        refused(cipher, sealed[:6] + changed.to_bytes(8, "big") + sealed[14:])
    assert derived == [kdf_salt(sealed)]
    assert cipher.open(sealed, AAD) == b"v"


def test_salt_found_first_in_a_modified_record(restart: Restart, derived: list[bytes]):
    """A valid record opens even if its salt was first found in a modified record."""
    sealed, cipher = restart(PHRASE).seal(b"v", AAD), restart(PHRASE)
    refused(cipher, sealed[:6] + bytes(8) + sealed[14:])
    assert cipher.open(sealed, AAD) == b"v"
    assert kdf_salt(cipher.seal(b"v", AAD)) == kdf_salt(sealed)
    assert derived == [kdf_salt(sealed)] * 2


def test_salts_are_cached_within_bounds(restart: Restart, derived: list[bytes]):
    """The keys of 1,024 salts are cached; the least recently used is evicted."""
    assert MAX_SALTS == 1_024
    sealed = [restart(PHRASE).seal(b"v", AAD) for _ in range(MAX_SALTS + 1)]
    cipher = restart(PHRASE)
    del derived[:]
    for record in sealed[:-1]:
        cipher.open(record, AAD)
    cipher._opening_session.cache_clear()  # sessions have their own cache
    for record in (sealed[0], sealed[-1], sealed[0]):
        cipher.open(record, AAD)
    assert derived == [kdf_salt(record) for record in sealed]
    cipher.open(sealed[1], AAD)
    assert derived[MAX_SALTS + 1 :] == [kdf_salt(sealed[1])]


def test_unmatched_salts_are_cached_within_bounds(
    restart: Restart, derived: list[bytes], clock: Any
):
    """The keys of 1,024 unmatched salts are cached, and evict no matched one."""
    cipher = restart(PHRASE)
    sealed = cipher.seal(b"v", AAD)
    for number in range(MAX_UNMATCHED_SALTS + 1):
        refused(cipher, forged(sealed, number))
        clock.now += 60
    assert len(derived) == 1 + MAX_UNMATCHED_SALTS + 1 == 1_026
    refused(cipher, forged(sealed, 1))
    assert len(derived) == 1_026
    refused(cipher, forged(sealed, 0))
    assert len(derived) == 1_027
    assert cipher.open(sealed, AAD) == b"v"
    assert len(derived) == 1_027


def test_threads_derive_a_salt_once(restart: Restart, derived: list[bytes]):
    """Threads that need the same salt at once derive its key once."""
    sealed = [restart(PHRASE).seal(b"v", AAD) for _ in range(10)]
    cipher, together, opened = restart(PHRASE), Barrier(8), []
    del derived[:]

    def work(order: list[int]) -> None:
        together.wait()
        cipher.seal(b"v", AAD)
        opened.extend(cipher.open(sealed[number], AAD) for number in order)

    orders = [random.sample(range(10), 10) for _ in range(8)]
    threads = [Thread(target=work, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [b"v"] * 80
    assert len(set(derived)) == len(derived) == 11


class Lacking:
    """An Argon2id without enough memory."""

    def __init__(self, **_: object) -> None:
        raise MemoryError("canary")


def test_failed_derivation_raises_encryption_error(
    restart: Restart, monkeypatch: pytest.MonkeyPatch
):
    """A failed derivation raises an error that names the requirements, not the passphrase."""
    sealed, cipher = restart(PHRASE).seal(b"v", AAD), restart(PHRASE)
    monkeypatch.setattr(keys, "Argon2id", Lacking)
    with pytest.raises(EncryptionError) as caught:
        cipher.seal(b"v", AAD)
    assert str(caught.value) == (
        "no key can be derived from the passphrase (MemoryError): Argon2id requires 64 MiB of "
        "memory and an OpenSSL that supports it. A key from fibonacci.generate_key() requires "
        "neither"
    )
    assert not isinstance(caught.value, DecryptionError | ConfigurationError)
    assert refused(cipher, sealed) == str(caught.value)


@pytest.mark.parametrize("error", [ValueError("soft time limit"), MemoryError("theirs")])
def test_interrupted_derivation_raises_the_handlers_exception(
    restart: Restart, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    """A signal handler's exception is raised unchanged, and the next derivation succeeds."""

    class Interrupting(QuickArgon2id):
        def derive(self, text: bytes) -> bytes:
            signal.raise_signal(signal.SIGUSR1)
            return b"never"

    def handler(*_: object) -> None:
        raise error

    before, cipher = signal.signal(signal.SIGUSR1, handler), restart(PHRASE)
    try:
        with monkeypatch.context() as interrupting:
            interrupting.setattr(keys, "Argon2id", Interrupting)
            interrupting.setattr(Interrupting, "salts", [], raising=False)
            with pytest.raises(type(error)) as caught:
                cipher.seal(b"v", AAD)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value is error
    assert cipher.open(cipher.seal(b"v", AAD), AAD) == b"v"


def test_failed_derivation_is_not_cached(restart: Restart, monkeypatch: pytest.MonkeyPatch):
    """A failed derivation is tried again at the next read."""
    sealed, cipher = restart(PHRASE).seal(b"v", AAD), restart(PHRASE)
    with monkeypatch.context() as lacking:
        lacking.setattr(keys, "Argon2id", Lacking)
        for _ in range(10):
            refused(cipher, sealed)
    assert cipher.open(sealed, AAD) == b"v"
