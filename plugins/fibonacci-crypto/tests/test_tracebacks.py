"""Local variables in tracebacks, as error trackers record them, do not hold a key."""

from pathlib import Path
from traceback import TracebackException

import pytest

import fibonacci_crypto
from fibonacci.errors import ConfigurationError
from fibonacci.plugin import CipherSettings
from fibonacci_crypto import fibonacci_encryption

KEY = "CANARYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
PHRASE = "CANARY horse battery staple"
OURS = str(Path(fibonacci_crypto.__file__).parent)


def traceback_locals(*keys: str) -> str:
    """Return the local variables of our functions in the traceback for refused keys."""
    settings = CipherSettings(name="aes-256-gcm", keys=keys)
    with pytest.raises(ConfigurationError) as caught:
        fibonacci_encryption(settings)
    traceback = TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame.locals for frame in traceback.stack if frame.filename.startswith(OURS)]
    assert ours
    return str(ours)


@pytest.mark.parametrize(
    "keys",
    [
        (KEY, PHRASE, "too short"),
        ("CANARY",),
        (KEY, "00" * 32),
        (f"{PHRASE} \ud800",),
        (f"env:{KEY}",),
        (f"file:{KEY}",),
        (f"file:/{KEY}",),
        ("env:A_KEY",),
    ],
)
def test_refused_keys_are_hidden(monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]):
    """No traceback variable holds a refused key, or another key of the list."""
    monkeypatch.setenv("A_KEY", "env:CANARY")
    assert "CANARY" not in traceback_locals(*keys)


@pytest.mark.parametrize(
    "content", [b"CANARY\nCANARY", b"CANARY" * 1_000, b"CANARY\xff", b"file:CANARY", b"CANARY"]
)
def test_contents_of_refused_files_are_hidden(tmp_path: Path, content: bytes):
    """No traceback variable holds the content of a refused key file."""
    (tmp_path / "key").write_bytes(content)
    assert "CANARY" not in traceback_locals(KEY, f"file:{tmp_path}/key")


@pytest.mark.filterwarnings("error")
def test_passphrase_is_hidden_if_its_warning_is_an_error():
    """No traceback variable holds the passphrase if its warning is an error."""
    assert "CANARY" not in traceback_locals(PHRASE)
