"""An error that the service answers with: status, kind, and its words where they are safe."""

import math
import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Final

from fibonacci.errors import ModelError

if TYPE_CHECKING:
    from anthropic import APIStatusError

PASSING: Final = frozenset((408, 409, 429))
"""Statuses below 500 after which the SDK, too, would ask again."""
PASSING_KINDS: Final = frozenset(
    ("api_error", "overloaded_error", "rate_limit_error", "timeout_error")
)
"""The same for an error inside a stream, whose status was 200."""

MENDING: Final = {
    401: "Check ANTHROPIC_API_KEY",
    402: "Check the account's billing",
    403: "The key may not use this model",
    404: "Check the model's name, and ANTHROPIC_BASE_URL",
    413: "Shorten the prompt, or the history in it",
}

SHARED: Final = 12
"""Characters in a row that the service's words may not share with what was said."""
LONGEST: Final = 300
"""Characters of the service's words that are told."""

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Refusal:
    """An error of the SDK, read."""

    def __init__(self, error: "APIStatusError") -> None:
        self._error = error
        self._headers = error.response.headers
        kind, self._message = _told_in(error.body)
        self._kind = _name(kind)
        self._is_in_stream = error.response.is_success

    def told(self, said: Iterable[str | None]) -> ModelError:
        """Return it as a ModelError, without a word of what was said or is secret."""
        status = "in the stream" if self._is_in_stream else str(self._error.status_code)
        parts = [f"anthropic: the service answered with an error, {status} {self._kind}".rstrip()]
        if words := self._words([one for one in said if one]):
            parts.append(f": {words}")
        if request_id := _name(self._headers.get("request-id")):
            parts.append(f" (request {request_id})")
        if mending := MENDING.get(self._error.status_code):
            parts.append(f". {mending}")
        return ModelError("".join(parts), retryable=self._may_pass(), retry_after=self._pause())

    def _words(self, said: list[str]) -> str:
        words = " ".join(self._message.split())[:LONGEST]
        return "" if any(shares(words, one) for one in said) else words.rstrip(". ")

    def _may_pass(self) -> bool:
        if self._is_in_stream:
            return self._kind in PASSING_KINDS
        if (told := self._headers.get("x-should-retry")) in {"true", "false"}:
            return told == "true"
        return self._error.status_code in PASSING or self._error.status_code >= 500

    def _pause(self) -> float | None:
        return retry_after(self._headers.get("retry-after"))


def _told_in(body: object) -> tuple[object, str]:
    """Return the kind and the words of an error that came as JSON."""
    match body:
        case {"error": {"type": kind, "message": str(words)}}:
            return kind, words
    return "", ""


def _name(text: object) -> str:
    return text if isinstance(text, str) and NAME.fullmatch(text) else ""


def shares(words: str, said: str) -> bool:
    """Say whether the words quote what was said: all of it, or SHARED characters in a row."""
    said = " ".join(said.split())
    windows = (words[at : at + SHARED] for at in range(len(words) - SHARED + 1))
    return said in words or any(window in said for window in windows)


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
