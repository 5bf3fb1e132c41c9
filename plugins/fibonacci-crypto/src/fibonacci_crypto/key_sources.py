"""Keys as users write them: a key, a passphrase, ``env:NAME`` or ``file:/path``."""

import os
import re
import warnings
from base64 import urlsafe_b64decode
from binascii import unhexlify
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Generic, TypeVar

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import shell_syntax_problem
from fibonacci_crypto.keys import MasterKey, Passphrase

MIN_PASSPHRASE: Final = 16
"""Characters that a passphrase has at least."""

MAX_FILE: Final = 4_096
"""Characters that a key file has at most."""

_GENERATE: Final = "Generate a key: python -c 'import fibonacci; print(fibonacci.generate_key())'"

# 43 characters have 258 bits: the last one may not use its lowest two, or a key had four spellings.
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9_-]{42}|[A-Za-z0-9+/]{42})[AEIMQUYcgkosw048]=?")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")

# Anything else after "env:" may be a key that was written there by mistake: it is not quoted.
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

T = TypeVar("T")


@attrs.frozen
class Secret(Generic[T]):
    """A key on its way from its source to its use.

    Error trackers record the local variables of each frame of a traceback: of this object they
    record ``Secret()``.
    """

    value: T = attrs.field(repr=False)


def read_keys(texts: Iterable[str]) -> list[MasterKey | Passphrase]:
    """Return the keys. Raises ConfigurationError, without a key in it.

    Warns if the first, which seals, is a passphrase.
    """
    secrets = [Secret(text) for text in texts]
    del texts  # or an error's traceback could show them
    keys = [_read(secret, f"encryption key {number}") for number, secret in enumerate(secrets, 1)]
    if isinstance(keys[0], Passphrase):
        _warn_about_passphrase()
    return keys


def _warn_about_passphrase() -> None:
    try:
        warnings.warn(
            f"the encryption key is not a 32-byte key and is used as a passphrase: Argon2id makes "
            f"it slow to guess, but not strong. {_GENERATE}",
            UserWarning,
            stacklevel=3,
        )
    except UserWarning as warning:  # python -W error
        raise ConfigurationError(str(warning)) from None


def _read(secret: Secret[str], name: str) -> MasterKey | Passphrase:
    source = parse_source(secret)
    if source is not None:
        secret = source.read()
        name = f"{name}, from {source.name},"
    if len(set(secret.value)) < 2:
        raise ConfigurationError(f"{name} is empty, or one character repeated. {_GENERATE}")
    key = Secret(decode_key(secret.value))
    return _checked_passphrase(secret, name) if key.value is None else _checked_key(key, name)


def _checked_key(key: Secret[bytes | None], name: str) -> MasterKey:
    assert key.value is not None
    if len(set(key.value)) < 2:
        raise ConfigurationError(
            f"{name} is one byte repeated, which anyone can guess. {_GENERATE}"
        )
    return MasterKey(key.value)


def _checked_passphrase(secret: Secret[str], name: str) -> Passphrase:
    if len(secret.value) < MIN_PASSPHRASE:
        raise ConfigurationError(
            f"{name} is neither 32 bytes in base64 or hex, nor a passphrase of at least "
            f"{MIN_PASSPHRASE} characters. {_GENERATE}"
        )
    if any("\ud800" <= character <= "\udfff" for character in secret.value):
        raise ConfigurationError(f"{name} is not Unicode text: it contains half a surrogate pair")
    return Passphrase(secret.value)


def decode_key(text: str) -> bytes | None:
    """Return the 32 bytes from URL-safe or standard base64 or from hex, None if it is neither."""
    if _HEX.fullmatch(text):
        return unhexlify(text)
    if _BASE64.fullmatch(text):
        return urlsafe_b64decode(text[:43].replace("+", "-").replace("/", "_") + "=")
    return None


@attrs.frozen(kw_only=True)
class Source:
    """A variable or a file that holds a key."""

    kind: str
    """``env`` or ``file``."""
    location: str = attrs.field(repr=False)
    """The name of the variable, or the path; or, by mistake, a key."""

    @property
    def name(self) -> str:
        """The source's name in errors, once it is known to hold a key."""
        if self.kind == "env":
            return f"the environment variable {self.location}"
        return f"the file {self.location!r}"

    def read(self) -> Secret[str]:
        """Return the key in it, without the line end. Raises ConfigurationError."""
        secret = Secret(READERS[self.kind](self).value.rstrip("\r\n"))
        if parse_source(secret) is not None:
            raise ConfigurationError(
                f"{self.name} must contain the key itself, not the name of another source"
            )
        if "\n" in secret.value or "\r" in secret.value:
            raise ConfigurationError(
                f"{self.name} has several lines, but a key is one line. For several keys pass a "
                f"list: encryption_key=['file:/new', 'file:/old']"
            )
        if problem := shell_syntax_problem(secret.value):
            raise ConfigurationError(f"{self.name} {problem}")
        return secret


def parse_source(secret: Secret[str]) -> Source | None:
    """Return the source that the text names; None if it is a key itself."""
    kind, colon, location = secret.value.partition(":")
    return Source(kind=kind, location=location) if colon and kind in READERS else None


def _read_variable(source: Source) -> Secret[str]:
    if not _VARIABLE.fullmatch(source.location):
        raise ConfigurationError(
            "the encryption key starts with env:, but is not followed by the name of an "
            "environment variable: write env:NAME"
        )
    secret = Secret(os.environ.get(source.location) or "")
    if not secret.value:
        raise ConfigurationError(
            f"the encryption key can't be read from the environment variable "
            f"{_display(source.location, source.location)}: it is not set"
        )
    return secret


def _read_file(source: Source) -> Secret[str]:
    reason = "it is not UTF-8 text"
    try:
        with Path(source.location).open(encoding="utf-8") as file:
            secret = Secret(file.read(MAX_FILE + 1))
        if len(secret.value) <= MAX_FILE:
            return secret
        reason = f"it has more than {MAX_FILE:,} characters"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:  # its text may quote the key
        pass
    path = _display(source.location, repr(source.location))
    raise ConfigurationError(f"the encryption key can't be read from the file {path}: {reason}")


READERS: Final[dict[str, Callable[[Source], Secret[str]]]] = {
    "env": _read_variable,
    "file": _read_file,
}


def _display(location: str, name: str) -> str:
    """Return the name of a source that holds no key, unless it may be a key itself."""
    if decode_key(location) is None and decode_key(location.lstrip("/")) is None:
        return name
    return "that it names (not repeated, as it looks like a key)"
