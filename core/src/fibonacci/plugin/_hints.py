"""The part of an error message that says what was probably meant."""

from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest known name, or "" if none is near."""
    import difflib  # 5 ms that only an error pays

    nearest = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
