"""Keys that stand elsewhere: ``env:NAME`` and ``file:/path``."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import shell_syntax_problem
from fibonacci_crypto.raw_key import decoded
from fibonacci_crypto.secret import Secret

LARGEST: Final = 4_096
"""Characters that a key may have in a file."""

# Anything else behind the colon may be a key that was put there by mistake: it is not repeated.
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen(kw_only=True)
class Source:
    """Where a key stands."""

    kind: str
    """``env`` or ``file``."""
    place: str = attrs.field(repr=False)
    """The name of a variable, or a path; or, by mistake, a key."""

    @property
    def name(self) -> str:
        """As errors call a place that holds a key."""
        if self.kind == "env":
            return f"the environment variable {self.place}"
        return f"the file {self.place!r}"

    def line(self) -> Secret[str]:
        """Return the key that stands there, without the end of its line; ConfigurationError."""
        written = Secret(READERS[self.kind](self).value.rstrip("\r\n"))
        if named_source(written) is not None:
            raise ConfigurationError(
                f"{self.name} must hold the key itself, and not where it stands"
            )
        if "\n" in written.value or "\r" in written.value:
            raise ConfigurationError(
                f"{self.name} has several lines, and a key has one. Several keys are a list: "
                f"encryption_key=['file:/new', 'file:/old']"
            )
        if fault := shell_syntax_problem(written.value):
            raise ConfigurationError(f"{self.name} {fault}")
        return written


def named_source(written: Secret[str]) -> Source | None:
    """Return the source that the text names; None if it is a key itself."""
    kind, colon, place = written.value.partition(":")
    return Source(kind=kind, place=place) if colon and kind in READERS else None


def _variable(source: Source) -> Secret[str]:
    if not _VARIABLE.fullmatch(source.place):
        raise ConfigurationError(
            "the encryption key starts with env:, and what follows is no name of an environment "
            "variable: write env:NAME"
        )
    written = Secret(os.environ.get(source.place) or "")
    if not written.value:
        raise ConfigurationError(
            f"the environment variable {_shown(source.place, source.place)} is to hold the "
            f"encryption key, and is not set"
        )
    return written


def _file(source: Source) -> Secret[str]:
    reason = "it is not text in UTF-8"
    try:
        with Path(source.place).open(encoding="utf-8") as lines:
            written = Secret(lines.read(LARGEST + 1))
        if len(written.value) <= LARGEST:
            return written
        reason = f"it has more than {LARGEST:,} characters"
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
    except ValueError:  # its text may quote the key
        pass
    shown = _shown(source.place, repr(source.place))
    raise ConfigurationError(f"the encryption key can't be read from the file {shown}: {reason}")


READERS: Final[dict[str, Callable[[Source], Secret[str]]]] = {"env": _variable, "file": _file}


def _shown(place: str, name: str) -> str:
    """The name of a place that holds nothing, unless it is as likely a key as a place."""
    if decoded(place) is None and decoded(place.lstrip("/")) is None:
        return name
    return "that it names (not repeated, as it looks like a key)"
