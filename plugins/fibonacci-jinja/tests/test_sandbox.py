"""The sandbox: what a template can't access, call, load or exceed."""

import pytest
from jinja2 import Undefined

from fibonacci.errors import TemplateError
from fibonacci_jinja import JinjaEngine
from fibonacci_jinja.sandbox import Sandbox
from fibonacci_jinja.text import MAX_LENGTH

ENGINE = JinjaEngine()


def error_of(source, **namespace):
    filled = {"input": {"x": "canary", "n": 3, "list": [1]}, "memory": {}, **namespace}
    with pytest.raises(TemplateError) as caught:
        ENGINE.compile(source).render(filled)
    error = caught.value
    assert "canary" not in str(error)
    assert error.__cause__ is None
    assert f"line {error.line}, column {error.column}" in str(error)
    return str(error)


@pytest.mark.parametrize(
    "source",
    [
        "{{ input.x.upper() }}",
        "{{ input.list.append(1) }}",
        "{{ input.x.format(1) }}",
        "{{ input.get('x') }}",
        "{{ input['get']('x') }}",
        "{{ ''.join([]) }}",
        "{{ range(3) }}",
        "{{ dict(a=1) }}",
        "{{ namespace() }}",
        "{{ lipsum() }}",
        "{{ (input.x | upper)() }}",
        "{{ x.y.loop.cycle(1) }}",
    ],
)
def test_calls_are_refused(source):
    """Methods and functions are refused when the template is compiled."""
    assert "no methods, and there are no functions" in error_of(source)


@pytest.mark.parametrize("source", ["{% set f = input.x %}{{ f() }}", "{% set f = 1 %}{{ f(2) }}"])
def test_call_of_a_value_is_refused(source):
    """A call of a name that holds a value raises TemplateError."""
    assert "not possible with these values" in error_of(source)


@pytest.mark.parametrize(
    "name", ["__class__", "__init__", "__globals__", "upper", "format_map", "mro", "gi_frame"]
)
def test_attributes_are_not_accessible(name):
    """No dot, bracket or filter reaches a Python attribute."""
    for source in (
        "{{ input.x.NAME }}",
        "{{ input.list['NAME'] }}",
        "{{ ''.NAME }}",
        "{{ [].NAME.x }}",
        "{{ [input.x] | map(attribute='NAME') | list }}",
        "{{ [input.x, input.x] | sort(attribute='NAME') }}",
        "{{ [input.x] | sum(attribute='NAME') }}",
        "{{ [input.x] | groupby('NAME') }}",
        "{{ [input.x] | join(attribute='NAME') }}",
        "{{ [input.x] | selectattr('NAME') | list }}",
        "{% macro m() %}{% endmacro %}{{ m.NAME }}",
        "{% for a in [1] %}{{ loop.NAME }}{% endfor %}",
        "{% for a in [1] %}{{ loop['_iterable'].NAME }}{% endfor %}",
    ):
        error_of(source.replace("NAME", name))


@pytest.mark.parametrize(
    "name", ["attr", "format", "pprint", "safe", "random", "urlize", "xmlattr", "center", "nope"]
)
def test_omitted_filters_are_unknown(name):
    """Omitted filters are unknown, also within a condition and in map."""
    assert f"there is no filter '{name}'" in error_of(f"{{{{ input.x | {name} }}}}")
    assert f"there is no filter '{name}'" in error_of(
        f"{{% if 0 %}}{{{{ input.x | {name} }}}}{{% endif %}}"
    )
    error_of(f"{{{{ [input.x] | map('{name}') | list }}}}")


def test_unknown_filter_or_test_has_a_suggestion():
    """The error for a misspelt filter or test suggests the nearest one."""
    assert "there is no filter 'uper'. Did you mean 'upper'?" in error_of("{{ 1 | uper }}")
    assert "there is no test 'defned'. Did you mean 'defined'?" in error_of("{{ x is defned }}")


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{% include 'a' %}", "include"),
        ("{% import 'a' as a %}", "import"),
        ("{% from 'a' import b %}", "import"),
        ("{% extends 'a' %}", "extends"),
        ("{% block a %}{% endblock %}", "block"),
        ("{% if 0 %}{% include input.x %}{% endif %}", "include"),
    ],
)
def test_statements_that_load_templates_are_disabled(source, what):
    """Statements that load or extend templates are disabled."""
    reason = f"'{what}' is disabled: a template can't load or extend another one"
    assert reason in error_of(source)


def test_autoescape_is_disabled():
    """The statement ``autoescape`` is disabled, with a reason of its own."""
    error = error_of("{% autoescape true %}{% endautoescape %}")
    assert "'autoescape' is disabled: nothing is escaped except by | e" in error


@pytest.mark.parametrize("source", ["{% set input.x = 1 %}", "{% set a, input.x = 1, 2 %}"])
def test_values_are_read_only(source):
    """A template sets only its own names."""
    assert "a name with a dot can't be set" in error_of(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10 ** 9 }}",
        "{{ 10 ** 9 * 'a' }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ 2 ** (10 ** 9) }}",
        "{{ (2 ** 4000) ** 2 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ input.x % 1 }}",
        "{% set a = 'a' * 3000000 %}{{ a + a }}",
        "{% set a = [0] * 3000000 %}{{ (a + a) | length }}",
        "{% set a = 'a' * 3000000 %}{{ (a ~ a) | length }}",
        "{% set a = 'a' * 3000000 %}{{ [a, a] | join | length }}",
        "{% set a = 'a' * 3000 %}{{ a | replace('a', a) | length }}",
        "{% set a = 'a' * 3000000 %}{% set b %}{{ a }}{{ a }}{% endset %}",
        "{% macro m() %}{{ 'a' * 3000000 }}{{ 'a' * 3000000 }}{% endmacro %}{{ m() | length }}",
        "{{ 'a' | indent(5000000, true) }}",
    ],
)
def test_results_are_bounded(source):
    """Powers, products, sums and joined texts are bounded."""
    error_of(source)


def test_output_is_bounded():
    """A rendered text may have MAX_LENGTH characters, and no more."""
    part = "a" * (MAX_LENGTH // 2)
    template = ENGINE.compile("{% for i in input.list %}{{ input.part }}{% endfor %}")
    namespace = {"input": {"part": part, "list": [1, 2]}, "memory": {}}
    assert template.render(namespace) == part * 2
    namespace["input"]["list"].append(3)
    with pytest.raises(TemplateError, match="exceeds the limit of 4,194,304 characters"):
        template.render(namespace)


def test_arithmetic():
    """Within the limits arithmetic is that of Python."""
    template = ENGINE.compile(
        "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2.0 ** 3 }} {{ 7 % 4 }} {{ 1 + 1 }} {{ 3 * 'ab' }}"
    )
    assert template.render({"input": {}, "memory": {}}) == "1024 0.5 8.0 3 2 ababab"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 + input.x }}",
        "{{ input.n / 0 }}",
        "{{ input.x < 1 }}",
        "{{ 2.0 ** 99999 }}",
        "{{ 'a' * 'b' }}",
        "{{ input.x | round }}",
        "{{ input[[]] }}",
        "{{ input.n[1:] }}",
        "{{ [1] | first('a') }}",
        "{% for a, b in [1] %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ [input.x] | map('nope') | list }}",
        "{{ [] | first }}",
        "{{ [] | min }}",
        "{% macro m() %}{% endmacro %}{{ m }}",
        "{% for a in [1] %}{{ loop }}{% endfor %}",
        "{% for a in [1] %}{{ loop.previtem.x }}{% endfor %}",
    ],
)
def test_any_failure_is_a_template_error(source):
    """Any failure is a TemplateError with a line, and without values."""
    assert "line 3" in error_of(f"\n\n{source}")


def test_column_of_a_failure():
    """The error has the position where its expression begins."""
    error = error_of("a\n{{ input.n }} {{ 1 + input.x }}")
    assert "line 2, column 18" in error


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("a\n {{ input.x", 2, 11),
        ("a\n{{ b c }}", 2, 6),
        ("a\n{% if x %}", 2, 9),
        ("a\n{% nope %}", 2, 4),
        ("a\nb {# c", 2, 5),
        ("a\nb {% raw %} c", 2, 12),
        ("a\nb {{ c ? }}", 2, 8),
        ("a\n{{ [1) }}", 2, 6),
        ("a\n{{ 'b }}", 2, 4),
    ],
)
def test_position_of_a_syntax_error(source, line, column):
    """A syntax error has a line and a column."""
    with pytest.raises(TemplateError) as caught:
        ENGINE.compile(source)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + "9" * 5_000 + " }}",
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "{% macro m(a, a) %}{% endmacro %}",
        "{{ " + "-" * 100_000 + "1 }}",
    ],
    ids=["digits", "parentheses", "argument", "minus"],
)
def test_source_too_complex_to_compile(source):
    """A source too complex for Jinja or Python is a TemplateError."""
    with pytest.raises(TemplateError, match="too complex for Jinja to compile"):
        ENGINE.compile(source)


def test_environment_returns_keys_only():
    """The environment itself returns keys, and no attributes."""
    sandbox = Sandbox("\n")
    for get in (sandbox.getattr, sandbox.getitem):
        assert get({"items": 1}, "items") == 1
        for value in ({}, "text", sandbox):
            assert isinstance(get(value, "__class__"), Undefined)
    assert not sandbox.globals
