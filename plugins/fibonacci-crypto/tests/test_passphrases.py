"""Passphrases: one derivation a salt, one salt where it can be, and little work for nothing."""

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


def planted(sealed: bytes, number: int) -> bytes:
    """The record under a salt that nobody knows."""
    return sealed[:15] + number.to_bytes(16, "big") + sealed[31:]


def refused(cipher: AesGcmCipher, sealed: bytes) -> str:
    with pytest.raises(DecryptionError) as caught:
        cipher.open(sealed, AAD)
    return str(caught.value)


def test_nothing_is_derived_before_it_is_needed(restart: Restart, derived: list[bytes]):
    """A cipher that is made and not used costs nothing; its first record costs once."""
    cipher = restart(PHRASE)
    assert derived == []
    sealed = [cipher.seal(b"v", AAD) for _ in range(10)]
    assert all(cipher.open(one, AAD) == b"v" for one in sealed)
    assert derived == [kdf_salt(sealed[0])]


def test_sessions_share_a_salt(restart: Restart, derived: list[bytes]):
    """A session that ends costs no new derivation."""
    cipher = restart(PHRASE, session_limit=1)
    assert len({cipher.seal(b"v", AAD)[31:63] for _ in range(10)}) == 10
    assert len(derived) == 1


def test_each_process_draws_its_own_salt(restart: Restart, derived: list[bytes]):
    """Where no record says otherwise."""
    assert len({kdf_salt(restart(PHRASE).seal(b"v", AAD)) for _ in range(20)}) == 20


def test_a_salt_is_taken_over(restart: Restart, derived: list[bytes]):
    """Who opens a record before it seals one, seals under the same salt: a store has few."""
    first = restart(PHRASE)
    sealed = first.seal(b"0", AAD)
    for number in range(20):
        later = restart(PHRASE)
        assert later.open(sealed, AAD) == b"%d" % number
        sealed = later.seal(b"%d" % (number + 1), AAD)
    assert set(derived) == {kdf_salt(sealed)}
    assert len(derived) == 21


def test_the_salt_of_the_first_record_stays(restart: Restart, derived: list[bytes]):
    """What is opened later changes nothing."""
    cipher, one, two = restart(PHRASE), restart(PHRASE), restart(PHRASE)
    first, second = one.seal(b"1", AAD), two.seal(b"2", AAD)
    assert cipher.open(first, AAD) + cipher.open(second, AAD) + cipher.open(first, AAD) == b"121"
    assert kdf_salt(cipher.seal(b"v", AAD)) == kdf_salt(first)


def test_the_salt_of_another_passphrase_is_not_taken_over(restart: Restart, derived: list[bytes]):
    """Each passphrase of a list has its own."""
    sealed = restart(OTHER).seal(b"v", AAD)
    cipher = restart(PHRASE, OTHER)
    assert cipher.open(sealed, AAD) == b"v"
    assert kdf_salt(cipher.seal(b"v", AAD)) != kdf_salt(sealed)


def test_a_process_has_one_salt(derived: list[bytes]):
    """All the workflows of a process derive a passphrase's key once, between them."""
    settings = CipherSettings(name="aes-256-gcm", keys=("a passphrase of this test alone",))
    ciphers = [fibonacci_encryption(settings) for _ in range(5)]
    sealed = [cipher.seal(b"v", AAD) for cipher in ciphers]
    assert all(cipher.open(one, AAD) == b"v" for cipher in ciphers for one in sealed)
    assert derived == [kdf_salt(sealed[0])]


def test_a_record_is_current_under_the_salt_in_use(restart: Restart, derived: list[bytes]):
    """So to seal all records anew leaves a store with one salt, and its readers with one KDF."""
    one, two = restart(PHRASE), restart(PHRASE)
    mine, theirs = one.seal(b"v", AAD), two.seal(b"v", AAD)
    assert one.is_current(mine)
    assert not one.is_current(theirs)
    assert not restart(PHRASE).is_current(mine)
    assert not restart(RAW, PHRASE).is_current(mine)
    assert len(derived) == 2


@pytest.mark.parametrize("processes", [20, pytest.param(200, marks=pytest.mark.long)])
def test_restarts_read_each_other(restart: Restart, derived: list[bytes], processes: int):
    """Each seals before it opens, so each has a salt of its own; and each opens the others'."""
    ciphers = [restart(PHRASE) for _ in range(processes)]
    sealed = [cipher.seal(b"%d" % number, AAD) for number, cipher in enumerate(ciphers)]
    assert len(set(map(kdf_salt, sealed))) == processes
    for _ in range(2):
        for cipher in ciphers:
            opened = [cipher.open(one, AAD) for one in sealed]
            assert opened == [b"%d" % number for number in range(processes)]
    assert len(derived) == processes**2


@pytest.mark.long
def test_two_hundred_restarts_at_full_cost(restart: Restart):
    """Argon2id with its 64 MiB: a hundred that begin with a write, and as many with a read."""
    writers = [restart(PHRASE) for _ in range(100)]
    sealed = [cipher.seal(b"%d" % number, AAD) for number, cipher in enumerate(writers)]
    for number in range(100):
        reader = restart(PHRASE)
        assert reader.open(sealed[number], AAD) == b"%d" % number
        sealed.append(reader.seal(b"%d" % (100 + number), AAD))
    last = restart(PHRASE)
    assert [last.open(one, AAD) for one in sealed] == [b"%d" % number for number in range(200)]
    assert len(set(map(kdf_salt, sealed))) == 100


def test_a_stranger_is_derived_once(restart: Restart, derived: list[bytes]):
    """A record that does not open, and is read again and again, costs no more."""
    cipher = restart(PHRASE)
    sealed = planted(cipher.seal(b"v", AAD), 1)
    for _ in range(100):
        assert "Append the record's key or passphrase" in refused(cipher, sealed)
    assert len(derived) == 2


def test_a_rotated_passphrase_is_not_counted(restart: Restart, derived: list[bytes]):
    """Records of the old one are no strangers, though the new one does not open them."""
    old = [restart(OTHER).seal(b"v", AAD) for _ in range(20)]
    cipher = restart(PHRASE, OTHER)
    assert all(cipher.open(one, AAD) == b"v" for one in old)
    assert len(derived) == 20 + 2 * 20


def test_a_salt_that_one_passphrase_knows_is_tried_with_the_others(
    clock: Any, derived: list[bytes], restart: Restart
):
    """Another workflow of the process met the record first, and had only one of them."""
    sealed, derivations = restart(OTHER).seal(b"v", AAD), Derivations(clock, clock.sleep)
    refused(AesGcmCipher(read_keys([PHRASE]), derivations), sealed)
    assert AesGcmCipher(read_keys([PHRASE, OTHER]), derivations).open(sealed, AAD) == b"v"
    assert derived == [kdf_salt(sealed)] * 3


def test_a_known_salt_costs_nothing_whatever_else_is_changed(
    restart: Restart, derived: list[bytes]
):
    """A key id that is not the salt's is refused by what is known."""
    cipher = restart(PHRASE)
    sealed = cipher.seal(b"v", AAD)
    for bit in range(64):
        changed = int.from_bytes(sealed[6:14], "big") ^ 1 << bit
        refused(cipher, sealed[:6] + changed.to_bytes(8, "big") + sealed[14:])
    assert derived == [kdf_salt(sealed)]
    assert cipher.open(sealed, AAD) == b"v"


def test_a_salt_met_in_a_changed_record_first(restart: Restart, derived: list[bytes]):
    """A key id that was changed makes a stranger of it; a whole record of it opens all the same."""
    sealed, cipher = restart(PHRASE).seal(b"v", AAD), restart(PHRASE)
    refused(cipher, sealed[:6] + bytes(8) + sealed[14:])
    assert cipher.open(sealed, AAD) == b"v"
    assert kdf_salt(cipher.seal(b"v", AAD)) == kdf_salt(sealed)
    assert derived == [kdf_salt(sealed)] * 2


def test_salts_are_remembered_within_bounds(restart: Restart, derived: list[bytes]):
    """1,024 of them; the one that was not used for longest is derived anew."""
    assert MAX_SALTS == 1_024
    sealed = [restart(PHRASE).seal(b"v", AAD) for _ in range(MAX_SALTS + 1)]
    cipher = restart(PHRASE)
    del derived[:]
    for one in sealed[:-1]:
        cipher.open(one, AAD)
    cipher._opening_session.cache_clear()  # sessions are remembered for themselves
    for one in (sealed[0], sealed[-1], sealed[0]):
        cipher.open(one, AAD)
    assert derived == [kdf_salt(one) for one in sealed]
    cipher.open(sealed[1], AAD)
    assert derived[MAX_SALTS + 1 :] == [kdf_salt(sealed[1])]


def test_strangers_are_remembered_within_bounds(restart: Restart, derived: list[bytes], clock: Any):
    """1,024 of them, too; and however many come, they push out no salt of ours."""
    cipher = restart(PHRASE)
    sealed = cipher.seal(b"v", AAD)
    for number in range(MAX_UNMATCHED_SALTS + 1):
        refused(cipher, planted(sealed, number))
        clock.now += 60
    assert len(derived) == 1 + MAX_UNMATCHED_SALTS + 1 == 1_026
    refused(cipher, planted(sealed, 1))
    assert len(derived) == 1_026
    refused(cipher, planted(sealed, 0))
    assert len(derived) == 1_027
    assert cipher.open(sealed, AAD) == b"v"
    assert len(derived) == 1_027


def test_threads_derive_a_salt_once(restart: Restart, derived: list[bytes]):
    """Whoever comes while it is derived waits for it."""
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
    """An OpenSSL without Argon2, or a machine without memory."""

    def __init__(self, **_: object) -> None:
        raise MemoryError("canary")


def test_a_machine_that_can_not_derive(restart: Restart, monkeypatch: pytest.MonkeyPatch):
    """An error of ours, that says what is missing, and holds nothing of the passphrase."""
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


@pytest.mark.parametrize("fault", [ValueError("soft time limit"), MemoryError("theirs")])
def test_a_derivation_that_is_interrupted(
    restart: Restart, monkeypatch: pytest.MonkeyPatch, fault: Exception
):
    """What a signal's handler raises comes out as itself, and the next one goes on."""

    class Interrupting(QuickArgon2id):
        def derive(self, text: bytes) -> bytes:
            signal.raise_signal(signal.SIGUSR1)
            return b"never"

    def handler(*_: object) -> None:
        raise fault

    before, cipher = signal.signal(signal.SIGUSR1, handler), restart(PHRASE)
    try:
        with monkeypatch.context() as interrupting:
            interrupting.setattr(keys, "Argon2id", Interrupting)
            interrupting.setattr(Interrupting, "salts", [], raising=False)
            with pytest.raises(type(fault)) as caught:
                cipher.seal(b"v", AAD)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value is fault
    assert cipher.open(cipher.seal(b"v", AAD), AAD) == b"v"


def test_a_derivation_that_failed_is_no_stranger(restart: Restart, monkeypatch: pytest.MonkeyPatch):
    """It is tried anew when the machine has memory again."""
    sealed, cipher = restart(PHRASE).seal(b"v", AAD), restart(PHRASE)
    with monkeypatch.context() as lacking:
        lacking.setattr(keys, "Argon2id", Lacking)
        for _ in range(10):
            refused(cipher, sealed)
    assert cipher.open(sealed, AAD) == b"v"
