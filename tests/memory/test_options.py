"""A backend's options: from the URL's query and from ``options``, known by name, given once."""

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


def test_options_come_from_the_query_and_from_the_dict():
    """Either will do; a query's text is read into what it means."""
    assert read_options(settings("create=false&pool=5", table="t"), READERS) == {
        "create": False,
        "pool": 5,
        "table": "t",
    }


def test_without_a_url_options_come_from_the_dict_alone():
    """``memory`` has no URL, a plugin's test may have none either."""
    assert read_options(StoreSettings(url=None, options={"pool": 1}), READERS) == {"pool": 1}


def test_options_that_were_not_given_are_not_there():
    """Defaults are the backend's own."""
    assert read_options(settings(), READERS) == {}


def test_an_option_may_be_given_twice_with_one_value():
    """What is meant is clear, also where one is text and the other is not."""
    assert read_options(settings("create=true&pool=7", create=True, pool=7), READERS) == {
        "create": True,
        "pool": 7,
    }


@pytest.mark.parametrize(
    ("query", "options"),
    [("create=true", {"create": False}), ("pool=1", {"pool": 2}), ("table=a", {"table": "b"})],
)
def test_an_option_with_two_values_is_refused(query: str, options: dict[str, Any]):
    """Neither wins in silence."""
    (name,) = options
    with pytest.raises(ConfigurationError) as caught:
        read_options(settings(query, **options), READERS)
    assert str(caught.value) == (
        f"option {name!r} has one value in the connection URL and another in options: give it once"
    )


@pytest.mark.parametrize("query", [True, False], ids=["query", "dict"])
def test_an_unknown_option_is_refused(query: bool):
    """The nearest name and all names are told, wherever it was given."""
    given = settings("creat=true") if query else settings(creat=True)
    with pytest.raises(ConfigurationError) as caught:
        read_options(given, READERS)
    assert str(caught.value) == (
        "the backend has no option 'creat'. Did you mean 'create'? It takes create, pool, table."
    )


@pytest.mark.parametrize("query", [True, False], ids=["query", "dict"])
def test_an_option_of_another_tool_is_refused_with_ours(query: bool):
    """C23: a backend may know how other tools call what it has."""
    given = settings(f"max={CANARY}") if query else settings(max=CANARY)
    with pytest.raises(ConfigurationError) as caught:
        read_options(given, READERS, {"max": "write pool=5", "create": "is never looked at"})
    assert str(caught.value) == "the backend has no option 'max': write pool=5"


def test_a_backend_without_options_says_so():
    """The in-process store takes none, in neither place."""
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
def test_a_flag(value: Any, expected: bool):
    """True or false, as a bool or as text."""
    assert bool_option(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (5, 5), ("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)]
)
def test_a_whole_number(value: Any, expected: int):
    """0 or more, as an int or as digits."""
    assert int_option(value) == expected
    assert type(int_option(value)) is int


def test_text():
    """Any text that is not empty, as it is."""
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
def test_an_option_that_breaks_its_rule_is_refused(name: str, value: Any):
    """C23: the message names the option and the rule, and never the value."""
    with pytest.raises(ConfigurationError) as caught:
        read_options(settings(**{name: value}), READERS)
    assert str(caught.value) == f"option {name!r} {RULES[name]}"
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_reader_of_a_plugins_own():
    """Any function that returns the value, or raises ValueError with the rule."""

    def colour(value: Any) -> str:
        if value not in ("red", "blue"):
            raise ValueError("must be red or blue")
        return str(value)

    assert read_options(settings("shade=red"), {"shade": colour}) == {"shade": "red"}
    with pytest.raises(ConfigurationError, match=r"^option 'shade' must be red or blue$"):
        read_options(settings("shade=green"), {"shade": colour})


def test_settings_show_no_options():
    """C23: an option may be a secret."""
    assert CANARY not in repr(settings(f"password={CANARY}", token=CANARY))
