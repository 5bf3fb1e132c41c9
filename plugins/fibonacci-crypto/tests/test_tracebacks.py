"""Tools that show the variables of the functions an error came through show no key."""

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


def shown(*keys: str) -> str:
    """What a traceback with variables shows of our functions, when the keys are refused."""
    settings = CipherSettings(name="aes-256-gcm", keys=keys)
    with pytest.raises(ConfigurationError) as caught:
        fibonacci_encryption(settings)
    told = TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame.locals for frame in told.stack if frame.filename.startswith(OURS)]
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
def test_keys_that_are_refused(monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]):
    """Neither the one that is bad, nor those beside it, nor one where its place should stand."""
    monkeypatch.setenv("A_KEY", "env:CANARY")
    assert "CANARY" not in shown(*keys)


@pytest.mark.parametrize(
    "content", [b"CANARY\nCANARY", b"CANARY" * 1_000, b"CANARY\xff", b"file:CANARY", b"CANARY"]
)
def test_files_that_are_refused(tmp_path: Path, content: bytes):
    """Nor what stands in a file that holds no key."""
    (tmp_path / "key").write_bytes(content)
    assert "CANARY" not in shown(KEY, f"file:{tmp_path}/key")


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error():
    """Nor a passphrase of which there is a warning."""
    assert "CANARY" not in shown(PHRASE)
