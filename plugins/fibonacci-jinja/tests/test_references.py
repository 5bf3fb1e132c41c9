"""References: what a template asks for, surely or perhaps, and what is its own."""

import pytest

from fibonacci_jinja import JinjaEngine

ENGINE = JinjaEngine()


def references(source):
    return [(one.name, one.unconditional) for one in ENGINE.compile(source).references]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{% if input.a %}{{ input.b }}{% elif input.c %}{{ input.d }}{% else %}{{ input.e }}"
            "{% endif %}",
            "a b? c? d? e?",
        ),
        ("{{ input.a if input.b else input.c }}", "a? b c?"),
        ("{{ input.a and input.b }}{{ input.c or input.d }}", "a b? c d?"),
        ("{{ input.a < input.b < input.c }}", "a b c?"),
        (
            "{% for x in input.a if input.b %}{{ input.c }}{% else %}{{ input.d }}{% endfor %}",
            "a b? c? d?",
        ),
        ("{{ input.a | default(input.b) }}{{ input.c | d(input.d) }}", "a? b? c? d?"),
        ("{{ input.a is defined }}{{ input.b is undefined }}{{ input.c is none }}", "a? b? c"),
        ("{% macro m(x=input.a) %}{{ input.b }}{{ x }}{% endmacro %}{{ m(input.c) }}", "a? b? c"),
        (
            "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ input.a }}{% endcall %}",
            "a?",
        ),
        ("{% macro m(a, b=a) %}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}", ""),
        ("{% set x %}{{ input.a }}{% endset %}{{ x }}", "a"),
        ("{% filter replace(input.a, 'b') %}{{ input.b }}{% endfilter %}", "a b"),
        ("{% with x = input.a, y = 1 %}{{ x }}{{ y }}{{ input.b }}{% endwith %}", "a b"),
        ("{{ {'k': input.a, input.b: [input.c]} }}{{ (input.d, -input.e) }}", "a b c d e"),
        ("{{ input.a[input.b:input.c] }}{{ input.d ~ input.e }}", "a b c d e"),
        ("{# {{ input.a }} #}{% raw %}{{ input.b }}{% endraw %}", ""),
    ],
)
def test_certain(source, expected):
    """What stands within a condition, a loop, a macro or a default is asked for only perhaps."""
    found = [
        name.removeprefix("input.") + ("" if unconditional else "?")
        for name, unconditional in references(source)
    ]
    assert found == expected.split()


@pytest.mark.parametrize(
    "source",
    [
        "{% set x = 1 %}{{ x }}",
        "{% set x, y = 1, 2 %}{{ x }}{{ y }}",
        "{% for x in [1] %}{{ x }}{{ loop.index }}{% endfor %}",
        "{% for x, (y, z) in [] %}{{ x.a }}{{ y }}{{ z }}{% endfor %}",
        "{% macro x(y) %}{{ y }}{% endmacro %}{{ x(1) }}",
        "{% if 1 %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
        "{% with x = 1 %}{{ x }}{% endwith %}",
        "{% set memory = {} %}{{ memory.x }}",
    ],
)
def test_local_names(source):
    """Names that the template sets are no references."""
    assert references(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}{% set x = 1 %}",
        "{% set x = x %}",
        "{% for x in x %}{% endfor %}",
        "{% for x in [] %}{% endfor %}{{ x }}",
        "{% with x = x %}{% endwith %}",
        "{% with x = 1 %}{% endwith %}{{ x }}",
        "{% for y in [] %}{% set x = 1 %}{% endfor %}{{ x }}",
    ],
)
def test_not_yet_or_no_longer_local(source):
    """Before they are set, and outside of their block, they are."""
    assert references(source) == [("x", True)]


def test_paths():
    """A path goes as far as it is written out."""
    names = [
        name
        for name, _ in references(
            "{{ memory.a['b'].c.0 }}{{ memory.a[input.k].c }}{{ memory.a[-1].b }}"
            "{{ memory.a[1:].b }}{{ (memory.a | last).b }}{{ memory[true].x }}{{ memory }}"
        )
    ]
    assert names == [
        "memory.a.b.c.0",
        "memory.a",
        "input.k",
        "memory.a",
        "memory.a",
        "memory.a",
        "memory",
        "memory",
    ]


def test_places():
    """Line and column are those of the name, whatever stands before it."""
    source = (
        "{# é #}\t{%- if input.a -%}  {{- input.b }}\n\n   {{ 'x' ~\n input.c | upper }}{% endif %}"
    )
    places = [(one.name, one.line, one.column) for one in ENGINE.compile(source).references]
    assert places == [("input.a", 1, 16), ("input.b", 1, 33), ("input.c", 4, 2)]


def test_places_across_styles_of_newlines():
    """Where a source mixes styles, LF and CRLF still end a line."""
    source = "a\r\n{% if 1 %}\nb\r{{ input.a }}\r\n{{ input.b }}{{ 'x\ry' }}{% endif %}"
    template = ENGINE.compile(source)
    assert [(one.line, one.column) for one in template.references] == [(3, 6), (4, 4)]
    rendered = template.render({"input": {"a": 1, "b": 2}, "memory": {}})
    assert rendered == "a\r\nb\r1\r\n2x\ry"


def test_tags_on_lines_that_end_by_crlf():
    """The line of a tag leaves none behind, with either newline."""
    template = ENGINE.compile("a\r\n{% if 1 %}\r\nb\r\n{% endif %}\r\nc\r\n")
    assert template.render({"input": {}, "memory": {}}) == "a\r\nb\r\nc\r\n"
