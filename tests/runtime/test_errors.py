"""What an author is told of a fault in a plugin, whose text stays out."""

import pytest

from fibonacci.plugin._runtime.errors import error_origin


def caught(source: str, names: dict[str, object]) -> Exception:
    with pytest.raises(Exception) as told:
        exec(source, names)
    return told.value


def test_the_innermost_place_is_told():
    """The line that raised it, in the module that the line stands in."""
    source = "def inner():\n    return 1 / 0\n\ninner()"
    fault = caught(source, {"__name__": "fibonacci_shelf"})
    assert error_origin(fault) == "ZeroDivisionError, in line 2 of fibonacci_shelf"


def test_a_class_that_lacks_methods_is_told_where_it_is_made():
    """Who forgets a method of a Store finds the line that made one."""
    source = "from fibonacci.plugin import Store\nclass Mine(Store): ...\n\nMine()"
    assert error_origin(caught(source, {"__name__": "mine"})) == "TypeError, in line 4 of mine"


def test_code_of_no_module():
    """Code that was made on the spot may belong to none."""
    fault = caught("del __name__\n1 / 0", {"__name__": "gone"})
    assert error_origin(fault) == "ZeroDivisionError, in line 2 of code without a module"


def test_what_was_never_raised():
    """It has a type, and no place."""
    assert error_origin(KeyError("s3cret")) == "KeyError"


def test_a_module_that_is_missing_is_named():
    """A driver that is imported late, and is gone: its name is no secret."""
    fault = caught("import a_missing_driver.part", {"__name__": "fibonacci_shelf"})
    assert error_origin(fault) == (
        "ModuleNotFoundError: No module named 'a_missing_driver', in line 1 of fibonacci_shelf"
    )
    assert error_origin(ModuleNotFoundError("s3cret")) == "ModuleNotFoundError"
