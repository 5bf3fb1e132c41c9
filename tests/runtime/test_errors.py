"""The text for authors about an exception in a plugin, without the exception's text."""

import pytest

from fibonacci.plugin._runtime.errors import error_origin


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
