"""Keys in environment variables and files."""

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


@WARNED
@pytest.mark.parametrize("text", [RAW.hex(), PASSPHRASE])
def test_key_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str):
    """env:NAME reads the key from the variable when the cipher is created."""
    monkeypatch.setenv("A_KEY", text)
    assert [repr(key) for key in read_keys(["env:A_KEY"])] == [
        repr(key) for key in read_keys([text])
    ]


@pytest.mark.parametrize("text", ['"canary canary canary"', "${CANARY}", "$(CANARY)", "$CANARY"])
def test_shell_leftovers_are_refused_and_not_quoted(monkeypatch: pytest.MonkeyPatch, text: str):
    """A key in quotes or with a variable's name is refused, and not quoted."""
    monkeypatch.setenv("A_KEY", text)
    error = error_message("env:A_KEY")
    assert error.startswith("the environment variable A_KEY ")
    assert "canary" not in error.lower()


@WARNED
@pytest.mark.parametrize(
    "text", ["ends in letters: abcXYZ", " spaces on both sides ", "a tab at its end\t"]
)
def test_only_the_line_end_is_stripped(tmp_path: Path, text: str):
    """Only the line end is stripped from a file: a space is part of a passphrase."""
    (tmp_path / "phrase").write_text(text + "\n")
    assert read_keys([f"file:{tmp_path}/phrase"]) == [Passphrase(text)]


@WARNED
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_key_in_a_file(tmp_path: Path, end: str):
    """file:/path reads the key from the file, with or without a line end."""
    (tmp_path / "key").write_bytes(RAW.hex().encode() + end.encode())
    (tmp_path / "phrase").write_bytes(" pässwörter aller Länder\t".encode() + end.encode())
    assert is_raw_key(f"file:{tmp_path}/key")
    assert read_keys([f"file:{tmp_path}/phrase"]) == [Passphrase(" pässwörter aller Länder\t")]


def test_list_mixes_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: Restart, derived: list[bytes]
):
    """A list may mix sources: the first key seals, and all open."""
    (tmp_path / "old").write_text(PASSPHRASE)
    monkeypatch.setenv("NEW_KEY", generate_key())
    both = restart("env:NEW_KEY", f"file:{tmp_path}/old", RAW.hex())
    assert restart("env:NEW_KEY").open(both.seal(b"1", b""), b"") == b"1"
    assert both.open(restart(RAW.hex()).seal(b"2", b""), b"") == b"2"
    with pytest.warns(UserWarning, match="passphrase"):
        assert both.open(restart(PASSPHRASE).seal(b"3", b""), b"") == b"3"


NOT_SET = "the encryption key can't be read from the environment variable A_KEY: it is not set"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, NOT_SET),
        ("", NOT_SET),
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
def test_invalid_key_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
):
    """The error for an invalid key names its variable, and does not quote the key."""
    monkeypatch.delenv("A_KEY", raising=False)
    if content is not None:
        monkeypatch.setenv("A_KEY", content)
    error = error_message("env:A_KEY")
    assert error.startswith(message)
    assert "canary" not in error


@pytest.mark.parametrize("text", ["env:", "env:canary-key", "env:1canary", "env:canary=", "env: A"])
def test_invalid_variable_name_is_not_quoted(text: str):
    """Text after env: that is not a variable's name is not quoted, as it may be a key."""
    assert error_message(text) == (
        "the encryption key starts with env:, but is not followed by the name of an environment "
        "variable: write env:NAME"
    )


SPELT = [RAW.hex(), "a" + RAW.hex()[1:], "AbcdefghIJKLmnopQRSTuvwxYZ0123456789_abcdeA"]


@pytest.mark.parametrize("key", SPELT)
@pytest.mark.parametrize("source", ["env:{}", "file:{}", "file:/{}", "file://{}", "file:///{}"])
def test_key_after_a_prefix_is_not_quoted(source: str, key: str):
    """A key written by mistake after env: or file: is not quoted (C23)."""
    error = error_message(source.format(key))
    assert key not in error
    assert error.startswith("the encryption key ")
    if source != "env:{}" or not key[0].isdigit():
        assert "(not repeated, as it looks like a key)" in error


def test_variable_name_that_looks_like_a_key(monkeypatch: pytest.MonkeyPatch):
    """A variable that is set is read, even if its name looks like a key."""
    name = "MY_VERY_LONG_COMPANY_SERVICE_ENCRYPTION_KEY"
    assert len(name) == len(generate_key().rstrip("="))
    monkeypatch.setenv(name, RAW.hex())
    assert is_raw_key(f"env:{name}")
    monkeypatch.setenv(name, "short")
    assert error_message(f"env:{name}").startswith(
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
def test_unreadable_file(tmp_path: Path, content: bytes | None, reason: str):
    """The error for an unreadable file names the file and the reason, not its content."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    assert error_message(f"file:{path}") == (
        f"the encryption key can't be read from the file {str(path)!r}: {reason}"
    )


def test_file_of_4096_characters(tmp_path: Path):
    """A file may have 4,096 characters."""
    (tmp_path / "key").write_text("ab" * 2_048)
    with pytest.warns(UserWarning, match="passphrase"):
        assert read_keys([f"file:{tmp_path}/key"]) == [Passphrase("ab" * 2_048)]


@pytest.mark.parametrize("path", ["/dev/zero", ".", "nul\0in it", ""])
def test_path_that_is_not_a_file(path: str):
    """An endless file, a directory and an invalid path are refused."""
    assert error_message(f"file:{path}").startswith(
        "the encryption key can't be read from the file "
    )


def test_file_of_several_keys_is_refused(tmp_path: Path):
    """A file of several keys is refused, as a list defines which one seals."""
    (tmp_path / "keys").write_text(f"{RAW.hex()}\n{PASSPHRASE}\n")
    assert error_message(f"file:{tmp_path}/keys") == (
        f"the file '{tmp_path}/keys' has several lines, but a key is one line. For several "
        f"keys pass a list: encryption_key=['file:/new', 'file:/old']"
    )
