r"""Patterns over keys: ``fnmatch.fnmatchcase``, matched here and nowhere else.

Servers have globs of their own, and each means something else by ``[!a]``, ``\*`` or ``?``. A
backend is told the literal start of a pattern at most, so that it lists less.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Any

from fibonacci.errors import InvalidArgumentError
from fibonacci.plugin.address import name_problem

LENGTH_LIMIT = 2_000
"""Characters of a pattern: making a matcher of more could take seconds."""

_SPECIAL = re.compile(r"[*?\[]")


def literal_start(pattern: str | None) -> str:
    """Return what every key that matches starts with."""
    start = "" if pattern is None else _SPECIAL.split(pattern, maxsplit=1)[0]
    return "" if name_problem(start) else start  # what no key can start with, no server may see


def matcher(pattern: Any) -> Callable[[str], object]:
    """Return the test for a key; None matches every key.

    Raises InvalidArgumentError for what is no text.
    """
    if pattern is None:
        return lambda key: True
    if not isinstance(pattern, str):
        raise InvalidArgumentError(
            f"pattern must be text such as 'cache:*', not {type(pattern).__name__}"
        )
    if len(pattern) > LENGTH_LIMIT:
        raise InvalidArgumentError(
            f"pattern has {len(pattern):,} characters; it may have {LENGTH_LIMIT:,}"
        )
    return re.compile(translate(pattern)).match
