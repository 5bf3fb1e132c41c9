"""References: conditional and unconditional ones, and local names."""

import pytest

from fibonacci_jinja import JinjaEngine

ENGINE = JinjaEngine()


def references(source):
    return [
        (reference.name, reference.unconditional) for reference in ENGINE.compile(source).references
    ]


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
def test_unconditional_references(source, expected):
    """References in a condition, a loop, a macro or a default are conditional."""
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
def test_local_names_are_not_references(source):
    """Names that the template sets are not references."""
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
def test_names_outside_their_scope_are_references(source):
    """A name is a reference before it is set and outside of its block."""
    assert references(source) == [("x", True)]


def test_path_ends_before_a_computed_key():
    """The path of a reference ends before the first computed key."""
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


def test_positions():
    """A reference has the line and column of its name."""
    source = (
        "{# é #}\t{%- if input.a -%}  {{- input.b }}\n\n   {{ 'x' ~\n input.c | upper }}{% endif %}"
    )
    positions = [
        (reference.name, reference.line, reference.column)
        for reference in ENGINE.compile(source).references
    ]
    assert positions == [("input.a", 1, 16), ("input.b", 1, 33), ("input.c", 4, 2)]


def test_positions_with_mixed_newlines():
    """LF and CRLF end a line in a source that mixes them."""
    source = "a\r\n{% if 1 %}\nb\r{{ input.a }}\r\n{{ input.b }}{{ 'x\ry' }}{% endif %}"
    template = ENGINE.compile(source)
    assert [(reference.line, reference.column) for reference in template.references] == [
        (3, 6),
        (4, 4),
    ]
    rendered = template.render({"input": {"a": 1, "b": 2}, "memory": {}})
    assert rendered == "a\r\nb\r1\r\n2x\ry"


def test_tag_lines_with_crlf():
    """The line of a tag is removed with either style of newlines."""
    template = ENGINE.compile("a\r\n{% if 1 %}\r\nb\r\n{% endif %}\r\nc\r\n")
    assert template.render({"input": {}, "memory": {}}) == "a\r\nb\r\nc\r\n"
