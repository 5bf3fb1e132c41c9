"""Texts of errors: where a plugin raised an exception, and whether a server quotes a secret."""

import pytest

from fibonacci.plugin._runtime.errors import error_origin
from fibonacci.plugin.runtime import quotes_text


def caught(source: str, names: dict[str, object]) -> Exception:
    with pytest.raises(Exception) as raised:
        exec(source, names)
    return raised.value


def test_the_innermost_line_is_named():
    """The error names the line that raised, and its module."""
    source = "def inner():\n    return 1 / 0\n\ninner()"
    error = caught(source, {"__name__": "fibonacci_shelf"})
    assert error_origin(error) == "ZeroDivisionError, in line 2 of fibonacci_shelf"


def test_a_class_that_lacks_methods_is_named():
    """The error about a Store without a method names the line that instantiated it."""
    source = "from fibonacci.plugin import Store\nclass Mine(Store): ...\n\nMine()"
    assert error_origin(caught(source, {"__name__": "mine"})) == "TypeError, in line 4 of mine"


def test_code_of_no_module():
    """Code that was compiled at run time may belong to no module."""
    error = caught("del __name__\n1 / 0", {"__name__": "gone"})
    assert error_origin(error) == "ZeroDivisionError, in line 2 of code without a module"


def test_an_error_that_was_never_raised():
    """An exception that was never raised has a type, and no line."""
    assert error_origin(KeyError("s3cret")) == "KeyError"


def test_a_missing_module_is_named():
    """A driver that is imported late and missing is named: its name is no secret."""
    error = caught("import a_missing_driver.part", {"__name__": "fibonacci_shelf"})
    assert error_origin(error) == (
        "ModuleNotFoundError: No module named 'a_missing_driver', in line 1 of fibonacci_shelf"
    )
    assert error_origin(ModuleNotFoundError("s3cret")) == "ModuleNotFoundError"


SENT = [None, "", "the prompt is  secret", "hunter2", "ok", "over nine"]


@pytest.mark.parametrize(
    "message",
    [
        "refused: 'the prompt is secret'",
        "refused: the\nprompt is   secret",
        "refused: ...e prompt is s...",
        "hunter2 is wrong",
        "('hunter2')",
        "xover ninex",
    ],
)
def test_quotations_are_recognized(message: str) -> None:
    """A message quotes a text that is in it, or twelve characters of it in a row."""
    assert quotes_text(message, SENT)


@pytest.mark.parametrize(
    "message", ["", "a prompt is missing", "5 tokens are ok", "hunter22 is unknown", "prompt"]
)
def test_other_messages_quote_nothing(message: str) -> None:
    """A few common characters, or the letters of a short text within a word, are no quotation."""
    assert not quotes_text(message, SENT)
