"""Keys as users write them: 32 bytes, a passphrase, or where it stands."""

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


def refusal(*texts: str) -> str:
    """What is said of keys that are refused: the error alone, with nothing in its past."""
    with pytest.raises(ConfigurationError) as caught:
        read_keys(texts)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return str(caught.value)


def the_same(text: str) -> bool:
    """Say whether the text is the key RAW."""
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
def test_a_key_has_several_spellings(text: str):
    """URL-safe base64, with or without its last character, and hex."""
    assert the_same(text)


def test_both_alphabets_of_base64_are_read():
    """``openssl rand -base64 32`` writes + and / where ours are - and _; and nobody writes both."""
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
def test_every_key_is_read_as_itself(raw: bytes):
    """All 32 bytes arrive, whatever the spelling."""
    expected = MasterKey(raw).prefix
    spellings = [base64.urlsafe_b64encode(raw), base64.b64encode(raw), raw.hex().encode()]
    for key in read_keys([text.decode() for text in spellings]):
        assert isinstance(key, MasterKey)
        assert key.prefix == expected


def test_generate_key_makes_keys():
    """44 characters of 32 bytes, others each time, that seal without a warning."""
    made = {generate_key() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.urlsafe_b64decode(key)) for key in made} == {32}
    assert all(isinstance(key, MasterKey) for key in read_keys(sorted(made)))


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
def test_all_else_is_a_passphrase(text: str):
    """As it stands: nothing is trimmed, folded or repaired."""
    assert read_keys([text]) == [Passphrase(text)]


def test_a_passphrase_that_seals_is_warned_of_once():
    """One warning, however many there are, and it says how to make a key."""
    with pytest.warns(UserWarning, match="passphrase") as caught:
        read_keys([PASSPHRASE, PASSPHRASE + "2"])
    (warning,) = caught
    assert warning.filename == __file__
    assert str(warning.message) == (
        "the encryption key is not a 32-byte key and is used as a passphrase: Argon2id makes it "
        "slow to guess, but not strong. "
        "Generate a key: python -c 'import fibonacci; print(fibonacci.generate_key())'"
    )


def test_the_warning_may_be_an_error():
    """Where warnings are errors, it is one of ours, with the same text."""
    with pytest.raises(ConfigurationError) as caught:  # as in all of these tests
        read_keys([PASSPHRASE])
    assert str(caught.value).startswith("the encryption key is not a 32-byte key and is used as a")
    assert PASSPHRASE not in str(caught.value)


def test_a_passphrase_that_only_opens_is_not_warned_of():
    """Whoever has a key in front of it has done what the warning asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_keys([RAW.hex(), PASSPHRASE])) == 2


@pytest.mark.parametrize("text", ["short", "fifteen letters", "🔑" * 7 + "🗝" * 8])
def test_a_short_passphrase_is_refused(text: str):
    """Under 16 characters anybody guesses it."""
    message = refusal(RAW.hex(), text)
    assert message.startswith(
        "encryption key 2 is neither 32 bytes in base64 or hex, nor a passphrase of at least 16 "
        "characters. Generate a key: python -c"
    )
    assert text not in message


@pytest.mark.parametrize("text", ["a" * 16, "a" * 44, "0" * 64, "☂" * 100, "x", ""])
def test_one_character_repeated_is_refused(text: str):
    """Also where it would be a key of 32 bytes."""
    assert refusal(text).startswith("encryption key 1 is empty, or one character repeated. Gen")


@pytest.mark.parametrize("raw", [bytes(32), b"\xff" * 32, b"\x5a" * 32])
@pytest.mark.parametrize("spelt", [base64.urlsafe_b64encode, lambda raw: raw.hex().encode()])
def test_one_byte_repeated_is_refused(raw: bytes, spelt: Callable[[bytes], bytes]):
    """A key of zeros is nobody's secret."""
    assert re.match(
        r"encryption key 1 is (one byte repeated|empty, or one character)",
        refusal(spelt(raw).decode()),
    )


@pytest.mark.parametrize("half", [0xD800, 0xDBFF, 0xDC00, 0xDCFF, 0xDFFF], ids=hex)
def test_a_passphrase_is_text(half: int):
    """Half of a surrogate pair has no bytes; a variable that is no UTF-8 holds such."""
    assert refusal(f"a passphrase with {chr(half)} in it") == (
        "encryption key 1 is not Unicode text: it contains half a surrogate pair"
    )


@WARNED
def test_nothing_shows_a_key(restart: Restart, derived: list[bytes]):
    """C23: no repr, of whatever holds a key, and no traceback of an error on the way to it."""
    raw = secrets.token_bytes(32)
    secret = [raw.hex(), repr(raw)[2:-1], base64.urlsafe_b64encode(raw).decode(), PASSPHRASE]
    keys = read_keys([raw.hex(), PASSPHRASE])
    cipher = restart(raw.hex(), PASSPHRASE)
    cipher.open(restart(PASSPHRASE).seal(b"1", b""), b"")
    cipher.seal(b"1", b"")
    shown = [repr(keys), str(keys), repr(cipher), repr(vars(cipher))]
    shown += [
        repr(vars(cipher._ring)),
        repr(vars(cipher._ring._derivations)),
        repr(cipher._sealing_session),
    ]
    for change in (b"", b"\xf1FM\x01\x01\0" + os.urandom(200), cipher.seal(b"1", b"") + b"0"):
        try:
            cipher.open(change, b"")
        except Exception as fault:  # noqa: BLE001 - whatever it is
            shown.append("".join(traceback.format_exception(fault)))
    assert len(shown) == 10
    assert not [text for text in shown for part in secret if part in text]
    named = f"the key {MasterKey(raw).key_id.hex()}, a passphrase"
    assert repr(cipher) == f"<AesGcmCipher with {named}>"
