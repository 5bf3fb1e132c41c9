"""Keys that stand elsewhere: in the environment, or in a file."""

from collections.abc import Callable
from pathlib import Path

import pytest

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


@WARNED
@pytest.mark.parametrize("text", [RAW.hex(), PASSPHRASE])
def test_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str):
    """``env:NAME``: read when the cipher is made."""
    monkeypatch.setenv("A_KEY", text)
    assert [repr(key) for key in read_keys(["env:A_KEY"])] == [
        repr(key) for key in read_keys([text])
    ]


@pytest.mark.parametrize("text", ['"canary canary canary"', "${CANARY}", "$(CANARY)", "$CANARY"])
def test_what_a_shell_was_to_see_to_is_no_key(monkeypatch: pytest.MonkeyPatch, text: str):
    """Quotes and names of variables would be a passphrase that others know; they are not told."""
    monkeypatch.setenv("A_KEY", text)
    said = refusal("env:A_KEY")
    assert said.startswith("the environment variable A_KEY ")
    assert "canary" not in said.lower()


@WARNED
@pytest.mark.parametrize(
    "text", ["ends in letters: abcXYZ", " spaces on both sides ", "a tab behind it\t"]
)
def test_nothing_but_the_end_of_the_line_is_taken_off(tmp_path: Path, text: str):
    """A space is part of a passphrase."""
    (tmp_path / "phrase").write_text(text + "\n")
    assert read_keys([f"file:{tmp_path}/phrase"]) == [Passphrase(text)]


@WARNED
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_key_in_a_file(tmp_path: Path, end: str):
    """``file:/path``: the key, with or without an end of line."""
    (tmp_path / "key").write_bytes(RAW.hex().encode() + end.encode())
    (tmp_path / "phrase").write_bytes(" pässwörter aller Länder\t".encode() + end.encode())
    assert the_same(f"file:{tmp_path}/key")
    assert read_keys([f"file:{tmp_path}/phrase"]) == [Passphrase(" pässwörter aller Länder\t")]


def test_a_list_may_mix_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: Restart, derived: list[bytes]
):
    """The first seals, all open."""
    (tmp_path / "old").write_text(PASSPHRASE)
    monkeypatch.setenv("NEW_KEY", generate_key())
    both = restart("env:NEW_KEY", f"file:{tmp_path}/old", RAW.hex())
    assert restart("env:NEW_KEY").open(both.seal(b"1", b""), b"") == b"1"
    assert both.open(restart(RAW.hex()).seal(b"2", b""), b"") == b"2"
    with pytest.warns(UserWarning, match="passphrase"):
        assert both.open(restart(PASSPHRASE).seal(b"3", b""), b"") == b"3"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the environment variable A_KEY for the encryption key is not set"),
        ("", "the environment variable A_KEY for the encryption key is not set"),
        ("\n", "encryption key 1, from the environment variable A_KEY, is empty, or one "),
        ("canary-short", "encryption key 1, from the environment variable A_KEY, is neither 32 "),
        ("env:A_KEY", "the environment variable A_KEY must contain the key itself, not the "),
        ("file:/canary", "the environment variable A_KEY must contain the key itself, not the"),
        (PASSPHRASE + "\n2", "the environment variable A_KEY has several lines, but a key is one"),
        (PASSPHRASE + "\r2", "the environment variable A_KEY has several lines, but a key is one"),
        ("00" * 32, "encryption key 1, from the environment variable A_KEY, is empty, or one char"),
        ("ab" * 32, "encryption key 1, from the environment variable A_KEY, is one byte repeated"),
        ("\udcff" + "canary" * 3, "encryption key 1, from the environment variable A_KEY, is not "),
    ],
)
def test_a_wrong_key_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
):
    """The error names the variable, and nothing that is in it."""
    monkeypatch.delenv("A_KEY", raising=False)
    if content is not None:
        monkeypatch.setenv("A_KEY", content)
    said = refusal("env:A_KEY")
    assert said.startswith(message)
    assert "canary" not in said


@pytest.mark.parametrize("text", ["env:", "env:canary-key", "env:1canary", "env:canary=", "env: A"])
def test_what_is_no_name_of_a_variable_is_not_repeated(text: str):
    """A key may stand there by mistake."""
    assert refusal(text) == (
        "the encryption key starts with env:, but is not followed by the name of an environment "
        "variable: write env:NAME"
    )


SPELT = [RAW.hex(), "a" + RAW.hex()[1:], "AbcdefghIJKLmnopQRSTuvwxYZ0123456789_abcdeA"]


@pytest.mark.parametrize("key", SPELT)
@pytest.mark.parametrize("place", ["env:{}", "file:{}", "file:/{}", "file://{}", "file:///{}"])
def test_a_key_behind_a_prefix_is_not_repeated(place: str, key: str):
    """C23: a key where the name of its place should be, as after a mistaken edit."""
    said = refusal(place.format(key))
    assert key not in said
    if place != "env:{}" or not key[0].isdigit():
        assert "(not repeated, as it looks like a key)" in said


def test_a_variable_whose_name_could_be_a_key(monkeypatch: pytest.MonkeyPatch):
    """Names have no length that keys have not: where it is set, it is a name."""
    name = "MY_VERY_LONG_COMPANY_SERVICE_ENCRYPTION_KEY"
    assert len(name) == len(generate_key().rstrip("="))
    monkeypatch.setenv(name, RAW.hex())
    assert the_same(f"env:{name}")
    monkeypatch.setenv(name, "short")
    assert refusal(f"env:{name}").startswith(
        f"encryption key 1, from the environment variable {name}, is neither"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (b"canary \xff and more of it", "it is not UTF-8 text"),
        (b"canary" * 1_000, "it has more than 4,096 characters"),
    ],
)
def test_a_file_that_can_not_be_read(tmp_path: Path, content: bytes | None, reason: str):
    """The error names the file, and nothing that is in it."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    assert refusal(f"file:{path}") == (
        f"the encryption key can't be read from the file {str(path)!r}: {reason}"
    )


def test_a_file_may_have_4096_characters(tmp_path: Path):
    """The longest passphrase."""
    (tmp_path / "key").write_text("ab" * 2_048)
    with pytest.warns(UserWarning, match="passphrase"):
        assert read_keys([f"file:{tmp_path}/key"]) == [Passphrase("ab" * 2_048)]


@pytest.mark.parametrize("path", ["/dev/zero", ".", "nul\0in it", ""])
def test_what_is_no_file(path: str):
    """An endless one, a directory, no path at all."""
    assert refusal(f"file:{path}").startswith("the encryption key can't be read from the file ")


def test_a_file_of_several_keys_is_refused(tmp_path: Path):
    """A list says which of them seals."""
    (tmp_path / "keys").write_text(f"{RAW.hex()}\n{PASSPHRASE}\n")
    assert refusal(f"file:{tmp_path}/keys") == (
        f"the file '{tmp_path}/keys' has several lines, but a key is one line. For several "
        f"keys pass a list: encryption_key=['file:/new', 'file:/old']"
    )
