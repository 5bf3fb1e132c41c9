"""Why no connection was made, and whether another try may make one.

A server, or a pooler before it, says with a SQLSTATE what it refuses. Its words may be of any
language, and quote names.
"""

import re
from collections.abc import Iterable
from typing import Final

import attrs

from fibonacci_postgres.faults import PASSING

# Verbose texts of libpq: `... failed: FATAL:  28P01: password ...`, in a line or more of its own.
_ANSWER: Final = re.compile(r"(?:^|: )[^\s:]+:  (?P<code>[0-9A-Z]{5}): (?P<text>.*)", re.MULTILINE)
_FROM: Final = re.compile(r"connection to server .*? failed: ")

# Codes of poolers for all that they have to say: PgBouncer's; Supavisor's or Neon's; pgcat's.
_OF_POOLERS: Final = ("08P01", "XX000", "58000")
_PASSING_AT_POOLERS: Final = re.compile(
    r"(connections?|clients?) (allowed|exceeded|reached)|too many|exhaust|no memory|out of memory"
    r"|connect to|get connection|connect failed|database not available|has been failing"
    r"|try again|temporar|timed?[- ]?out|crashed|exited|DNS|control plane"
    r"|shut(ting)? ?down|servers? ?down|closing|paused|suspend",
    re.IGNORECASE,
)

# The name of a parameter may stand in it, such as statement_timeout: it is looked for first.
_OF_OPTIONS: Final = re.compile(
    r"(startup|configuration) (parameter|option)|command-line|\boptions\b", re.IGNORECASE
)

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


def read_refusal(message: str, *, needs_password: bool, names: Iterable[str] = ()) -> Refusal:
    """Read what libpq says of a connection that was not made, with SQLSTATEs where it has any.

    ``names`` are the user's and the database's: where a server quotes one, it decides nothing.
    """
    answers = list(_ANSWER.finditer(message))
    if not answers:
        return Refusal(message, needs_password or _is_lasting(_FROM.sub("", message)))
    # More than one where libpq tried again by itself, without TLS.
    lasting = all(_is_lasting_answer(one["code"], _without(names, one["text"])) for one in answers)
    told = dict.fromkeys(f"{one['text']} (SQLSTATE {one['code']})" for one in answers)
    return Refusal("; ".join(told), lasting, bool(_OF_OPTIONS.search("; ".join(told))))


def _is_lasting(text: str) -> bool:
    return not any(one in text for one in _PASSING) and any(one in text for one in _LASTING)


def _is_lasting_answer(code: str, text: str) -> bool:
    if code in _OF_POOLERS:
        return bool(_OF_OPTIONS.search(text)) or not _PASSING_AT_POOLERS.search(text)
    return not code.startswith(("08", "55006", *PASSING))


def _without(names: Iterable[str], text: str) -> str:
    """Take out names that are quoted, or come last after a colon, as in ``no such user: me``."""
    for name in filter(None, names):
        text = re.sub(rf"(?<=[\"'`»«“\u201e])(?:{re.escape(name)})(?=[\"'`»«”“])", "", text)
        text = re.sub(rf"(?<=: ){re.escape(name)}$", "", text)
    return text
