"""Keys that stand elsewhere: ``env:NAME`` and ``file:/path``."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci_crypto.raw_key import decoded

LARGEST: Final = 4_096
"""Characters that a key may have in a file."""

# Anything else behind the colon may be a key that was put there by mistake: it is not repeated.
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen(kw_only=True)
class Source:
    """Where a key stands."""

    name: str
    """As errors call it."""
    read: Callable[[], str]


def named_source(text: str) -> Source | None:
    """Return the source that the text names; None if it is a key itself."""
    kind, _, place = text.partition(":")
    if kind == "env":
        return Source(name=f"the environment variable {place}", read=lambda: _variable(place))
    if kind == "file":
        return Source(name=f"the file {place!r}", read=lambda: _file(place))
    return None


def read_source(source: Source) -> str:
    """Return the key that stands there, without the end of its line; ConfigurationError."""
    text = source.read().rstrip("\r\n")
    if named_source(text) is not None:
        raise ConfigurationError(f"{source.name} must hold the key itself, and not where it stands")
    if "\n" in text or "\r" in text:
        raise ConfigurationError(
            f"{source.name} has several lines, and a key has one. Several keys are a list: "
            f"encryption_key=['file:/new', 'file:/old']"
        )
    return text


def _variable(variable: str) -> str:
    if not _VARIABLE.fullmatch(variable):
        raise ConfigurationError(
            "the encryption key starts with env:, and what follows is no name of an environment "
            "variable: write env:NAME"
        )
    text = os.environ.get(variable)
    if not text:
        raise ConfigurationError(
            f"the environment variable {_shown(variable, variable)} is to hold the encryption key, "
            f"and is not set"
        )
    return text


def _file(path: str) -> str:
    reason = "it is not text in UTF-8"
    try:
        with Path(path).open(encoding="utf-8") as lines:
            text = lines.read(LARGEST + 1)
        if len(text) <= LARGEST:
            return text
        reason = f"it has more than {LARGEST:,} characters"
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
    except ValueError:  # its text may quote the key
        pass
    raise ConfigurationError(
        f"the encryption key can't be read from the file {_shown(path, repr(path))}: {reason}"
    )


def _shown(place: str, name: str) -> str:
    """The name of a place that holds nothing, unless it is as likely a key as a place."""
    if decoded(place) is None and decoded(place.lstrip("/")) is None:
        return name
    return "that it names (not repeated, as it looks like a key)"
