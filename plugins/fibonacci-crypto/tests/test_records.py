"""Records (C24): sealed for one address, and opened only there, whole, with the key."""

from collections.abc import Callable

import pytest

from fibonacci.errors import ConfigurationError, DecryptionError, EncryptionError
from fibonacci.plugin import encode_parts
from fibonacci_crypto import AesGcmCipher

Restart = Callable[..., AesGcmCipher]

HERE = encode_parts("fibonacci:", "user", "user-123", "preferences")
VALUE = bytes(range(256)) * 4
PASSPHRASE = "correct horse battery staple"
OTHER = "e" * 63 + "f"

pytestmark = pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")


def refused(cipher: AesGcmCipher, sealed: bytes, aad: bytes = HERE) -> str:
    with pytest.raises(DecryptionError) as caught:
        cipher.open(sealed, aad)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.fixture(params=["key", "passphrase"])
def cipher(request: pytest.FixtureRequest, restart: Restart, derived: list[bytes]) -> AesGcmCipher:
    """One with a key, and one with a passphrase."""
    return restart(PASSPHRASE) if request.param == "passphrase" else restart()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1_024, 2**20])
def test_what_was_sealed_opens(cipher: AesGcmCipher, size: int):
    """Values of any size, and a process that comes later opens them as well."""
    assert cipher.open(cipher.seal(b"v" * size, HERE), HERE) == b"v" * size


def test_the_first_byte_is_no_json(cipher: AesGcmCipher):
    """C25: it is 0x80 or above, and with the next one no UTF-8 at all."""
    sealed = cipher.seal(VALUE, HERE)
    assert sealed[0] >= 0x80
    with pytest.raises(UnicodeDecodeError):
        sealed[:3].decode()


def test_equal_values_are_sealed_differently(cipher: AesGcmCipher):
    """Whoever reads the store can't tell that two values are the same."""
    assert len({cipher.seal(VALUE, HERE) for _ in range(100)}) == 100


@pytest.mark.parametrize(("key", "overhead"), [(OTHER, 106), (PASSPHRASE, 123)])
def test_the_overhead(restart: Restart, derived: list[bytes], key: str, overhead: int):
    """Bytes that a record takes more than its value, whatever its size."""
    cipher = restart(key)
    assert {len(cipher.seal(b"v" * size, HERE)) - size for size in range(64)} == {overhead}


def test_nothing_of_the_value_is_readable(cipher: AesGcmCipher):
    """Not a run of four bytes."""
    sealed = cipher.seal(VALUE, HERE)
    assert not any(VALUE[at : at + 4] in sealed for at in range(len(VALUE) - 3))


@pytest.mark.bare  # thousands of records
def test_every_bit_counts(cipher: AesGcmCipher):
    """A record of 1 KiB with any one bit flipped does not open."""
    sealed = cipher.seal(VALUE, HERE)
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            refused(cipher, bytes(changed))
    assert cipher.open(sealed, HERE) == VALUE


def test_every_truncation_is_refused(cipher: AesGcmCipher):
    """From the end, and from the start."""
    sealed = cipher.seal(VALUE, HERE)
    for size in range(len(sealed)):
        refused(cipher, sealed[:size])
        refused(cipher, sealed[size + 1 :])


def test_every_extension_is_refused(cipher: AesGcmCipher):
    """Behind the record, in front of it, and between any two bytes of it."""
    sealed = cipher.seal(VALUE, HERE)
    for at in range(len(sealed) + 1):
        refused(cipher, sealed[:at] + b"\0" + sealed[at:])
    refused(cipher, sealed + sealed)


def test_a_moved_record_is_refused(cipher: AesGcmCipher):
    """Every record of twenty opens at its own address, and at none of the others'."""
    places = [
        encode_parts("p:", scope, owner, key)
        for scope in ("user", "workflow")
        for owner in ("1", "12", "1:2", "12:")
        for key in ("k", "2k", ":2k")
    ][:20]
    records = [cipher.seal(b"%d" % number, place) for number, place in enumerate(places)]
    for number, record in enumerate(records):
        for other, place in enumerate(places):
            if number == other:
                assert cipher.open(record, place) == b"%d" % number
            else:
                assert "moved" in refused(cipher, record, place)


def test_header_and_address_share_no_bytes(cipher: AesGcmCipher):
    """What is cut from the one and put into the other is not the same."""
    sealed = cipher.seal(VALUE, b"")
    for size in range(1, 130):
        refused(cipher, sealed[size:], sealed[:size])
        refused(cipher, sealed, sealed[:size])


def test_parts_of_two_records_make_no_third(cipher: AesGcmCipher):
    """Heads, nonces, values and tags of one session can't be put together anew."""
    one, two = cipher.seal(VALUE, HERE), cipher.seal(VALUE[::-1], HERE)
    nonce = len(one) - len(VALUE) - 28
    for cut in range(nonce + 4, len(one) - 4):  # fewer bytes than that may be the same by chance
        refused(cipher, one[:cut] + two[cut:])


def test_another_key_opens_nothing(restart: Restart):
    """The error names the key that is needed, and those that are there."""
    sealed = restart().seal(VALUE, HERE)
    assert refused(restart(OTHER), sealed) == (
        "the record was sealed with the key d1b7464286aa8d76, and this memory has the key "
        "6435fb497dd5ebec. Append the record's key or passphrase to encryption_key=[...]"
    )


def test_another_passphrase_opens_nothing(restart: Restart, derived: list[bytes]):
    """The error says that it was a passphrase."""
    sealed = restart(PASSPHRASE).seal(VALUE, HERE)
    message = refused(restart("another horse battery"), sealed)
    assert "with a passphrase, key id " + sealed[6:14].hex() in message
    assert "this memory has a passphrase. Append" in message
    assert "has the key d1b7464286aa8d76. Append" in refused(restart(), sealed)


def test_a_key_is_no_passphrase_of_its_own(restart: Restart, derived: list[bytes]):
    """A record sealed with a key does not open with a passphrase, nor the other way round."""
    assert "has a passphrase. Append" in refused(restart(PASSPHRASE), restart().seal(VALUE, HERE))


def test_the_first_key_seals_and_all_open(restart: Restart, derived: list[bytes]):
    """Keys and passphrases in one list, in any order."""
    old, new = restart(PASSPHRASE), restart()
    both = restart(OTHER, PASSPHRASE, "a third passphrase", "00" * 31 + "01")
    assert both.open(old.seal(VALUE, HERE), HERE) == VALUE
    assert both.open(restart("a third passphrase").seal(VALUE, HERE), HERE) == VALUE
    assert restart(OTHER).open(both.seal(VALUE, HERE), HERE) == VALUE
    message = refused(both, new.seal(VALUE, HERE))
    assert "the key 6435fb497dd5ebec, the key " in message
    assert message.count("the key ") == 3
    assert ", 2 passphrases. Append" in message


def test_a_record_is_current_if_the_first_key_sealed_it(restart: Restart):
    """So a list's newest key leaves its own records alone, and takes over those of the others."""
    old, rotated = restart(), restart(OTHER, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    record = old.seal(VALUE, HERE)
    assert old.is_current(record)
    assert not rotated.is_current(record)
    assert rotated.is_current(rotated.seal(rotated.open(record, HERE), HERE))
    assert not old.is_current(b"")
    assert not old.is_current(b'{"plain":1}')


def test_too_large_a_value_is_an_error_of_ours(cipher: AesGcmCipher):
    """AES-GCM as OpenSSL has it seals less than 2 GiB; the error holds nothing of the value."""
    with pytest.raises(EncryptionError) as caught:
        cipher.seal(bytes(2**31), HERE)
    assert str(caught.value) == "a value of 2,147,483,648 bytes can't be sealed: OverflowError"
    assert not isinstance(caught.value, DecryptionError | ConfigurationError)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "was not sealed by fibonacci-crypto"),
        (b"\x80", "was not sealed by fibonacci-crypto"),
        (b"\xf1FN\x01\x01" + bytes(200), "was not sealed by fibonacci-crypto"),
        (b"\xf1FM", "is truncated"),
        (b"\xf1FM\x01\x01", "is truncated"),
        (b"\xf1FM\x01\x01" + bytes(72), "is truncated"),
        (b"\xf1FM\x01\x11" + bytes(89), "is truncated"),
        (b"\xf1FM\x02\x01" + bytes(200), "does not support: a newer release sealed it"),
        (b"\xf1FM\x01\x02" + bytes(200), "does not support: a newer release sealed it"),
        (b"\xf1FM\x01\x01\x01" + bytes(200), "does not support: a newer release sealed it"),
        (b"\xf1FM\x01\x11" + bytes(9) + b"\x02" + bytes(200), "a newer release sealed it"),
        (b"\xf1FM\x01\x01" + bytes(73), "sealed with the key 0000000000000000, and this"),
        (b"\xf1FM\x01\x11" + bytes(9) + b"\x01" + bytes(80), "with a passphrase, key id 00"),
    ],
)
def test_what_is_no_record_of_ours(restart: Restart, record: bytes, reason: str):
    """The error says what it looks like."""
    assert reason in refused(restart(), record)
