"""The part of an error message that says what was probably meant."""

from collections.abc import Iterable


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest, or None if none is near."""
    import difflib  # 5 ms that only an error pays

    nearest = difflib.get_close_matches(str(name), list(known), n=1)
    return nearest[0] if nearest else None


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest known name, or "" if none is near."""
    nearest = nearest_name(name, known)
    return f" Did you mean {nearest!r}?" if nearest else ""
