"""Records (C24): they open at their own address only, unmodified, with the key."""

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
def test_sealed_record_opens(cipher: AesGcmCipher, size: int):
    """A record of any size opens, also in another process."""
    assert cipher.open(cipher.seal(b"v" * size, HERE), HERE) == b"v" * size


def test_first_byte_is_not_json(cipher: AesGcmCipher):
    """The first byte of a record is 0x80 or above, and the first two are not UTF-8 (C25)."""
    sealed = cipher.seal(VALUE, HERE)
    assert sealed[0] >= 0x80
    with pytest.raises(UnicodeDecodeError):
        sealed[:3].decode()


def test_equal_values_have_different_records(cipher: AesGcmCipher):
    """The records of equal values differ."""
    assert len({cipher.seal(VALUE, HERE) for _ in range(100)}) == 100


@pytest.mark.parametrize(("key", "overhead"), [(OTHER, 106), (PASSPHRASE, 123)])
def test_overhead(restart: Restart, derived: list[bytes], key: str, overhead: int):
    """A record is longer than its value by a fixed number of bytes."""
    cipher = restart(key)
    assert {len(cipher.seal(b"v" * size, HERE)) - size for size in range(64)} == {overhead}


def test_record_does_not_contain_the_value(cipher: AesGcmCipher):
    """A record contains no four consecutive bytes of its value."""
    sealed = cipher.seal(VALUE, HERE)
    assert not any(VALUE[at : at + 4] in sealed for at in range(len(VALUE) - 3))


@pytest.mark.bare  # thousands of records
def test_any_flipped_bit_is_refused(cipher: AesGcmCipher):
    """A record of 1 KiB with any flipped bit does not open."""
    sealed = cipher.seal(VALUE, HERE)
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            refused(cipher, bytes(changed))
    assert cipher.open(sealed, HERE) == VALUE


def test_any_truncation_is_refused(cipher: AesGcmCipher):
    """A record truncated at its end or start does not open."""
    sealed = cipher.seal(VALUE, HERE)
    for size in range(len(sealed)):
        refused(cipher, sealed[:size])
        refused(cipher, sealed[size + 1 :])


def test_any_extension_is_refused(cipher: AesGcmCipher):
    """A record with a byte added at any position does not open."""
    sealed = cipher.seal(VALUE, HERE)
    for at in range(len(sealed) + 1):
        refused(cipher, sealed[:at] + b"\0" + sealed[at:])
    refused(cipher, sealed + sealed)


def test_moved_record_is_refused(cipher: AesGcmCipher):
    """Each of twenty records opens at its own address only."""
    addresses = [
        encode_parts("p:", scope, owner, key)
        for scope in ("user", "workflow")
        for owner in ("1", "12", "1:2", "12:")
        for key in ("k", "2k", ":2k")
    ][:20]
    records = [cipher.seal(b"%d" % number, address) for number, address in enumerate(addresses)]
    for number, record in enumerate(records):
        for other, address in enumerate(addresses):
            if number == other:
                assert cipher.open(record, address) == b"%d" % number
            else:
                assert "moved" in refused(cipher, record, address)


def test_bytes_moved_between_header_and_address_are_refused(cipher: AesGcmCipher):
    """A record whose first bytes moved into the address does not open."""
    sealed = cipher.seal(VALUE, b"")
    for size in range(1, 130):
        refused(cipher, sealed[size:], sealed[:size])
        refused(cipher, sealed, sealed[:size])


def test_spliced_records_are_refused(cipher: AesGcmCipher):
    """Parts of two records of a session joined together do not open."""
    one, two = cipher.seal(VALUE, HERE), cipher.seal(VALUE[::-1], HERE)
    nonce = len(one) - len(VALUE) - 28
    for cut in range(nonce + 4, len(one) - 4):  # fewer bytes than that may be the same by chance
        refused(cipher, one[:cut] + two[cut:])


def test_wrong_key_is_named(restart: Restart):
    """The error for a wrong key names the record's key and those of the cipher."""
    sealed = restart().seal(VALUE, HERE)
    assert refused(restart(OTHER), sealed) == (
        "the record was sealed with the key d1b7464286aa8d76, and this memory has the key "
        "6435fb497dd5ebec. Append the record's key or passphrase to encryption_key=[...]"
    )


def test_wrong_passphrase_is_named(restart: Restart, derived: list[bytes]):
    """The error for a wrong passphrase says that the record was sealed with one."""
    sealed = restart(PASSPHRASE).seal(VALUE, HERE)
    message = refused(restart("another horse battery"), sealed)
    assert "with a passphrase, key id " + sealed[6:14].hex() in message
    assert "this memory has a passphrase. Append" in message
    assert "has the key d1b7464286aa8d76. Append" in refused(restart(), sealed)


def test_passphrase_does_not_open_records_of_keys(restart: Restart, derived: list[bytes]):
    """A record sealed with a key does not open with a passphrase."""
    assert "has a passphrase. Append" in refused(restart(PASSPHRASE), restart().seal(VALUE, HERE))


def test_first_key_seals_and_all_open(restart: Restart, derived: list[bytes]):
    """The first key of a list seals, and all its keys and passphrases open."""
    old, new = restart(PASSPHRASE), restart()
    both = restart(OTHER, PASSPHRASE, "a third passphrase", "00" * 31 + "01")
    assert both.open(old.seal(VALUE, HERE), HERE) == VALUE
    assert both.open(restart("a third passphrase").seal(VALUE, HERE), HERE) == VALUE
    assert restart(OTHER).open(both.seal(VALUE, HERE), HERE) == VALUE
    message = refused(both, new.seal(VALUE, HERE))
    assert "the key 6435fb497dd5ebec, the key " in message
    assert message.count("the key ") == 3
    assert ", 2 passphrases. Append" in message


def test_record_of_the_first_key_is_current(restart: Restart):
    """Records sealed with the first key are current, others are not."""
    old, rotated = restart(), restart(OTHER, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    record = old.seal(VALUE, HERE)
    assert old.is_current(record)
    assert not rotated.is_current(record)
    assert rotated.is_current(rotated.seal(rotated.open(record, HERE), HERE))
    assert not old.is_current(b"")
    assert not old.is_current(b'{"plain":1}')


def test_oversized_value_raises_encryption_error(cipher: AesGcmCipher):
    """A value of 2 GiB raises EncryptionError, which does not quote it."""
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
def test_foreign_record_is_refused_with_a_reason(restart: Restart, record: bytes, reason: str):
    """The error for bytes that are not a valid record gives the reason."""
    assert reason in refused(restart(), record)
