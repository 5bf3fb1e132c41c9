"""The part of an error message that says what was probably meant."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

COMPARED: Final = 1_000
"""Known names that are compared: each takes time, and a client may have sent them."""

EFFORT: Final = 250_000
"""Characters to compare with characters: 15 ms where all names are made to take long."""

LENGTH: Final = 100
"""Characters of a name beyond which it is nobody's slip of the finger."""


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest, or None if none is near.

    Of long lists the first 1,000 names are looked at, fewer for a long name, and none of more than
    100 characters.
    """
    import difflib  # 5 ms that only an error pays

    text = str(name)
    if len(text) > LENGTH:
        return None
    most = min(COMPARED, EFFORT // (len(text) ** 2 or 1))
    compared = [one for one in islice(known, most) if len(one) <= LENGTH]
    nearest = difflib.get_close_matches(text, compared, n=1)
    return nearest[0] if nearest else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest known name, or "" if none is near."""
    nearest = nearest_name(name, known)
    return f" Did you mean {nearest!r}?" if nearest else ""
