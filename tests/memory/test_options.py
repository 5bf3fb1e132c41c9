"""A backend's options: from the URL's query and from ``options``, known by name, set once."""

import math
import traceback
from typing import Any

import pytest

from fibonacci import ConfigurationError, MemoryConfig, Workflow
from fibonacci.plugin import (
    StoreSettings,
    StoreURL,
    bool_option,
    int_option,
    read_options,
    text_option,
)

CANARY = "canary-3f9a"

READERS = {"create": bool_option, "table": text_option, "pool": int_option}


def settings(query: str = "", **options: Any) -> StoreSettings:
    return StoreSettings(url=StoreURL.parse(f"toy://h?{query}"), options=options)


def test_options_are_read_from_the_query_and_the_dict():
    """read_options() reads the URL's query, whose texts it parses, and the dict of options."""
    assert read_options(settings("create=false&pool=5", table="t"), READERS) == {
        "create": False,
        "pool": 5,
        "table": "t",
    }


def test_options_without_a_url_are_read_from_the_dict():
    """read_options() reads only the dict if there is no URL, as with ``memory``."""
    assert read_options(StoreSettings(url=None, options={"pool": 1}), READERS) == {"pool": 1}


def test_unset_options_are_absent():
    """read_options() returns no option that is not set: defaults are the backend's."""
    assert read_options(settings(), READERS) == {}


def test_option_may_be_set_twice_to_the_same_value():
    """read_options() accepts one value of an option in query and dict, one of them as text."""
    assert read_options(settings("create=true&pool=7", create=True, pool=7), READERS) == {
        "create": True,
        "pool": 7,
    }


@pytest.mark.parametrize(
    ("query", "options"),
    [("create=true", {"create": False}), ("pool=1", {"pool": 2}), ("table=a", {"table": "b"})],
)
def test_option_with_two_values_is_refused(query: str, options: dict[str, Any]):
    """read_options() refuses an option with two values."""
    (name,) = options
    with pytest.raises(ConfigurationError) as caught:
        read_options(settings(query, **options), READERS)
    assert str(caught.value) == (
        f"option {name!r} has one value in the connection URL and another in options: give it once"
    )


@pytest.mark.parametrize("query", [True, False], ids=["query", "dict"])
def test_unknown_option_is_refused(query: bool):
    """read_options() refuses an unknown option; the message has the similar name and all names."""
    options = settings("creat=true") if query else settings(creat=True)
    with pytest.raises(ConfigurationError) as caught:
        read_options(options, READERS)
    assert str(caught.value) == (
        "the backend has no option 'creat'. Did you mean 'create'? It takes create, pool, table."
    )


@pytest.mark.parametrize("query", [True, False], ids=["query", "dict"])
def test_foreign_option_is_refused_with_the_right_name(query: bool):
    """C23: read_options() refuses another tool's option, with the name of the backend's own."""
    options = settings(f"max={CANARY}") if query else settings(max=CANARY)
    with pytest.raises(ConfigurationError) as caught:
        read_options(options, READERS, {"max": "write pool=5", "create": "is never looked at"})
    assert str(caught.value) == "the backend has no option 'max': write pool=5"


def test_option_of_a_backend_without_options_is_refused():
    """The in-process store refuses every option, in the query and in the dict."""
    for config in (
        MemoryConfig(options={"create": True}),
        MemoryConfig("memory", "memory://name?create=true"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            Workflow("w", config)
        assert str(caught.value) == "the backend has no option 'create'. It takes none."


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (False, False), ("true", True), ("false", False)]
)
def test_bool_option_accepts_bools_and_their_texts(value: Any, expected: bool):
    """bool_option() accepts True and False, as a bool or as text."""
    assert bool_option(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (5, 5), ("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)]
)
def test_int_option_accepts_ints_and_digits(value: Any, expected: int):
    """int_option() accepts 0 or more, as an int or as digits."""
    assert int_option(value) == expected
    assert type(int_option(value)) is int


def test_text_option_accepts_text_that_is_not_empty():
    """text_option() accepts any text that is not empty, unchanged."""
    assert text_option(" é ") == " é "


BAD = {
    "create": [None, 0, 1, "", "True", "yes", "1", b"true", [], CANARY],
    "pool": [None, True, -1, 1.0, math.nan, "", "-1", "1.5", "٣", "²", "9" * 19, b"1", [], CANARY],
    "table": [None, "", 5, True, b"t", [CANARY]],
}
RULES = {
    "create": "must be true or false",
    "pool": "must be a whole number, 0 or more",
    "table": "must be text, and not empty",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in BAD.items() for value in values],
    ids=lambda part: repr(part)[:12],
)
def test_error_of_an_option_names_it_and_its_rule(name: str, value: Any):
    """C23: the message about an invalid option has its name and rule, and never its value."""
    with pytest.raises(ConfigurationError) as caught:
        read_options(settings(**{name: value}), READERS)
    assert str(caught.value) == f"option {name!r} {RULES[name]}"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_reader_may_be_any_function():
    """A reader is any function that returns the value, or raises ValueError with the rule."""

    def colour(value: Any) -> str:
        if value not in ("red", "blue"):
            raise ValueError("must be red or blue")
        return str(value)

    assert read_options(settings("shade=red"), {"shade": colour}) == {"shade": "red"}
    with pytest.raises(ConfigurationError, match=r"^option 'shade' must be red or blue$"):
        read_options(settings("shade=green"), {"shade": colour})


def test_repr_of_settings_hides_options():
    """C23: repr() of StoreSettings shows no option, as it may be a secret."""
    assert CANARY not in repr(settings(f"password={CANARY}", token=CANARY))
