"""Keys as users write them: 32 bytes, or a passphrase."""

import base64
import os
import re
import secrets
import traceback
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci import generate_key
from fibonacci.errors import ConfigurationError
from fibonacci_crypto import AesGcmCipher
from fibonacci_crypto.key_sources import read_keys
from fibonacci_crypto.keys import MasterKey, Passphrase

Restart = Callable[..., AesGcmCipher]

RAW = bytes(range(32))
PASSPHRASE = "canary horse battery staple"
WARNED = pytest.mark.filterwarnings("ignore:the encryption key is not a 32-byte:UserWarning")


def error_message(*texts: str) -> str:
    """Return the message of the error for refused keys, which has no cause and no context."""
    with pytest.raises(ConfigurationError) as caught:
        read_keys(texts)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def is_raw_key(text: str) -> bool:
    """Return whether the text is the key RAW."""
    (key,) = read_keys([text])
    return isinstance(key, MasterKey) and key.prefix == MasterKey(RAW).prefix


@pytest.mark.parametrize(
    "text",
    [
        base64.urlsafe_b64encode(RAW).decode(),
        base64.urlsafe_b64encode(RAW).decode().rstrip("="),
        RAW.hex(),
        RAW.hex().upper(),
    ],
)
def test_encodings_of_a_key(text: str):
    """A key is read from URL-safe base64, with or without padding, and from hex."""
    assert is_raw_key(text)


def test_both_base64_alphabets_are_read():
    """Standard and URL-safe base64 are read, and a mixture is a passphrase."""
    raw = bytes.fromhex("fbefbe" * 10 + "ffff")
    standard, safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert ("+" in standard, "/" in standard) == (True, True)
    one, two = read_keys([standard, safe])
    assert isinstance(one, MasterKey)
    assert isinstance(two, MasterKey)
    assert one.prefix == two.prefix
    with pytest.warns(UserWarning, match="passphrase"):
        assert read_keys(["-" + standard[1:]]) == [Passphrase("-" + standard[1:])]


@given(st.binary(min_size=32, max_size=32).filter(lambda raw: len(set(raw)) > 1))
@settings(deadline=None)
def test_every_key_is_read_from_each_encoding(raw: bytes):
    """Any 32 bytes are read unchanged from each encoding."""
    expected = MasterKey(raw).prefix
    spellings = [base64.urlsafe_b64encode(raw), base64.b64encode(raw), raw.hex().encode()]
    for key in read_keys([text.decode() for text in spellings]):
        assert isinstance(key, MasterKey)
        assert key.prefix == expected


def test_generate_key_returns_valid_keys():
    """generate_key() returns different keys of 32 bytes, which seal without a warning."""
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(base64.urlsafe_b64decode(key)) for key in keys} == {32}
    assert all(isinstance(key, MasterKey) for key in read_keys(sorted(keys)))


@WARNED
@pytest.mark.parametrize(
    "text",
    [
        "your-32-byte-key-here...",
        "sixteen letters.",
        "thirty-two ASCII characters long",
        RAW.hex()[:-1],
        RAW.hex() + "0",
        RAW.hex() + "\n",
        base64.urlsafe_b64encode(RAW).decode() + "=",
        base64.urlsafe_b64encode(RAW).decode()[:42],
        base64.urlsafe_b64encode(RAW).decode()[:42] + "9=",  # 8 is meant, with two bits to spare
        "pässwörter aller Länder ☂",
        "next to surrogates: \ud7ff",
        "next to surrogates: \ue000",
    ],
)
def test_other_text_is_a_passphrase(text: str):
    """Any other text is a passphrase, unchanged."""
    assert read_keys([text]) == [Passphrase(text)]


def test_sealing_passphrase_warns_once():
    """A sealing passphrase emits one warning, which says how to generate a key."""
    with pytest.warns(UserWarning, match="passphrase") as caught:
        read_keys([PASSPHRASE, PASSPHRASE + "2"])
    (warning,) = caught
    assert warning.filename == __file__
    assert str(warning.message) == (
        "the encryption key is not a 32-byte key and is used as a passphrase: Argon2id makes it "
        "slow to guess, but not strong. "
        "Generate a key: python -c 'import fibonacci; print(fibonacci.generate_key())'"
    )


def test_warning_as_an_error():
    """If warnings are errors, the warning is a ConfigurationError with the same text."""
    with pytest.raises(ConfigurationError) as caught:  # as in all of these tests
        read_keys([PASSPHRASE])
    assert str(caught.value).startswith("the encryption key is not a 32-byte key and is used as a")
    assert PASSPHRASE not in str(caught.value)


def test_opening_passphrase_does_not_warn():
    """A passphrase after a key emits no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_keys([RAW.hex(), PASSPHRASE])) == 2


@pytest.mark.parametrize("text", ["short", "fifteen letters", "🔑" * 7 + "🗝" * 8])
def test_short_passphrase_is_refused(text: str):
    """A passphrase of fewer than 16 characters is refused."""
    message = error_message(RAW.hex(), text)
    assert message.startswith(
        "encryption key 2 is neither 32 bytes in base64 or hex, nor a passphrase of at least 16 "
        "characters. Generate a key: python -c"
    )
    assert text not in message


@pytest.mark.parametrize("text", ["a" * 16, "a" * 44, "0" * 64, "☂" * 100, "x", ""])
def test_one_repeated_character_is_refused(text: str):
    """One repeated character is refused, even if it encodes 32 bytes."""
    assert error_message(text).startswith(
        "encryption key 1 is empty, or one character repeated. Gen"
    )


@pytest.mark.parametrize("raw", [bytes(32), b"\xff" * 32, b"\x5a" * 32])
@pytest.mark.parametrize("spelt", [base64.urlsafe_b64encode, lambda raw: raw.hex().encode()])
def test_one_repeated_byte_is_refused(raw: bytes, spelt: Callable[[bytes], bytes]):
    """A key of one repeated byte is refused."""
    assert re.match(
        r"encryption key 1 is (one byte repeated|empty, or one character)",
        error_message(spelt(raw).decode()),
    )


@pytest.mark.parametrize("half", [0xD800, 0xDBFF, 0xDC00, 0xDCFF, 0xDFFF], ids=hex)
def test_half_a_surrogate_pair_is_refused(half: int):
    """A passphrase with half a surrogate pair is refused."""
    assert error_message(f"a passphrase with {chr(half)} in it") == (
        "encryption key 1 is not Unicode text: it contains half a surrogate pair"
    )


@WARNED
def test_keys_are_hidden(restart: Restart, derived: list[bytes]):
    """No repr of an object with a key, and no traceback, shows the key (C23)."""
    raw = secrets.token_bytes(32)
    secret = [raw.hex(), repr(raw)[2:-1], base64.urlsafe_b64encode(raw).decode(), PASSPHRASE]
    keys = read_keys([raw.hex(), PASSPHRASE])
    cipher = restart(raw.hex(), PASSPHRASE)
    cipher.open(restart(PASSPHRASE).seal(b"1", b""), b"")
    cipher.seal(b"1", b"")
    texts = [repr(keys), str(keys), repr(cipher), repr(vars(cipher))]
    texts += [
        repr(vars(cipher._ring)),
        repr(vars(cipher._ring._derivations)),
        repr(cipher._sealing_session),
    ]
    for change in (b"", b"\xf1FM\x01\x01\0" + os.urandom(200), cipher.seal(b"1", b"") + b"0"):
        try:
            cipher.open(change, b"")
        except Exception as error:  # noqa: BLE001 - of any type
            texts.append("".join(traceback.format_exception(error)))
    assert len(texts) == 10
    assert not [text for text in texts for part in secret if part in text]
    named = f"the key {MasterKey(raw).key_id.hex()}, a passphrase"
    assert repr(cipher) == f"<AesGcmCipher with {named}>"
