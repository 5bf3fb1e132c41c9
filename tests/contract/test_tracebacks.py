"""What the contracts search for secrets: all that an error shows."""

import pytest

from fibonacci.testing.tracebacks import traceback_text

SECRET = "hunter2"


class ShownError(Exception):
    """An error with the secret in its repr only."""

    def __repr__(self) -> str:
        return SECRET


def with_attribute() -> Exception:
    error = ValueError("plain")
    vars(error)["request"] = {"key": SECRET}
    return error


def with_note() -> Exception:
    error = ValueError("plain")
    error.add_note(f"a\n{SECRET}")
    return error


@pytest.mark.parametrize(
    "error",
    [ValueError(SECRET), ShownError(), with_attribute(), with_note()],
    ids=["message", "repr", "attribute", "note"],
)
@pytest.mark.parametrize("behind", ["itself", "cause", "context", "hidden", "beside a cause"])
def test_secret_is_found(error: Exception, behind: str):
    """A secret is found in every part of an error, and in every error behind it."""
    outer = ValueError("plain")
    if behind == "itself":
        outer = error
    elif behind == "cause":
        outer.__cause__ = error
    else:
        outer.__context__ = error
        outer.__suppress_context__ = behind == "hidden"
        if behind == "beside a cause":
            outer.__cause__ = ValueError("plain, too")
    assert SECRET in traceback_text(outer)


def test_raised_error():
    """An error shows the line that raised it."""
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    assert "_ = 1 / 0" in traceback_text(caught.value)


def test_secret_of_spaces():
    """A secret of spaces is found in a message or a note, and not in the indentation of lines."""
    spaces, error = " " * 4, ValueError("plain")
    with pytest.raises(ValueError, match="plain"):
        raise error
    assert spaces not in traceback_text(error)
    assert spaces in traceback_text(ValueError(f"a{spaces}b"))
    error.add_note(f"a\n{spaces}b")
    assert spaces in traceback_text(error)


def test_cycle_of_causes_ends():
    """Errors that are each other's cause are looked at once."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert traceback_text(first).count("ValueError: first") == 1
