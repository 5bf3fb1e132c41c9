"""Why no connection was made, and whether another try may make one.

A server, or a pooler before it, says with a SQLSTATE what it refuses. Its words may be of any
language, and quote names.
"""

import re
from typing import Final

import attrs

from fibonacci_postgres.faults import PASSING

# Verbose texts of libpq: `... failed: FATAL:  28P01: password ...`, in a line or more of its own.
_ANSWER: Final = re.compile(r"(?:^|: )[^\s:]+:  (?P<code>[0-9A-Z]{5}): (?P<text>.*)", re.MULTILINE)
_FROM: Final = re.compile(r"connection to server .*? failed: ")

# Codes of poolers for all that they have to say: PgBouncer's, and Supavisor's or Neon's.
_OF_POOLERS: Final = ("08P01", "XX000")
_PASSING_AT_POOLERS: Final = re.compile(
    r"connections? (allowed|exceeded|reached)|too many|exhaust|no memory|out of memory"
    r"|connect to|connect failed|has been failing|try again|timeout|timed out|crashed|DNS"
    r"|shut(ting)? ?down|closing|paused|suspend",
    re.IGNORECASE,
)

_OF_OPTIONS: Final = re.compile(r"startup parameter|configuration parameter|\boptions\b")

# What libpq says itself when another try says the same.
_LASTING: Final = (
    "authentication failed",
    "authentication method",
    "no password supplied",
    "does not exist",
    "permission denied",
    "invalid",
    "certificate",
    "private key",
    "but SSL was required",
)
_PASSING: Final = ("No such file or directory", "Connection refused", "starting up")


@attrs.frozen
class Refusal:
    """What was said, and whether another try would hear the same."""

    text: str
    lasting: bool
    of_options: bool = False
    """Whether it was for the options that the session was to have: poolers take none, or few."""


def read_refusal(message: str, *, needs_password: bool) -> Refusal:
    """Read what libpq says of a connection that was not made, with SQLSTATEs where it has any."""
    answers = list(_ANSWER.finditer(message))
    if not answers:
        return Refusal(message, needs_password or _is_lasting(_FROM.sub("", message)))
    # More than one where libpq tried again by itself, without TLS.
    lasting = all(_is_lasting_answer(one["code"], one["text"]) for one in answers)
    told = dict.fromkeys(f"{one['text']} (SQLSTATE {one['code']})" for one in answers)
    return Refusal("; ".join(told), lasting, bool(_OF_OPTIONS.search("; ".join(told))))


def _is_lasting(text: str) -> bool:
    return not any(one in text for one in _PASSING) and any(one in text for one in _LASTING)


def _is_lasting_answer(code: str, text: str) -> bool:
    if code in _OF_POOLERS:
        return not _PASSING_AT_POOLERS.search(text)
    return not code.startswith(("08", "55006", *PASSING))
