"""Names: missing values, values in memory, ids with hyphens."""

import pytest

from fibonacci.errors import TemplateError
from fibonacci_jinja import JinjaEngine

ENGINE = JinjaEngine()


def render(source, **namespace):
    return ENGINE.compile(source).render({"input": {}, "memory": {}, **namespace})


def error_of(source, **namespace):
    with pytest.raises(TemplateError) as caught:
        render(source, **namespace)
    return caught.value


def test_value_missing_in_memory_is_empty_text():
    """A value missing in memory is false, empty, equal to '', at any depth."""
    source = (
        "{% for x in memory.a %}{{ x }}{% endfor %}{{ memory.a.b['c'][0].d }}"
        "{{ memory.a | length }}{{ 'full' if memory.a else 'empty' }}{{ memory.a == '' }}"
        "{{ '' != memory.a }}{{ memory.a == memory.b }}{{ memory.a == 1 }}{{ memory.a is defined }}"
    )
    assert render(source) == "0emptytruefalsetruefalsefalse"
    assert render("{{ {memory.a: 1}[''] }}{{ 'x' in memory.a }}{{ memory.a or 'd' }}") == "1falsed"
    assert render("{{ [memory.a, 1] }}{{ [memory.a, 1] | join(',') }}") == '["",1],1'


def test_value_missing_in_a_named_part_of_memory():
    """A value missing below a name set to a part of memory is empty text."""
    memory = {"history": [{"role": "user"}]}
    loop = "{% for m in memory.history %}{{ m.name }}{{ m.a.b }}{% endfor %}"
    assert render(loop, memory=memory) == ""
    assert render("{% set m = memory.history[0] %}{{ m.name }}", memory=memory) == ""
    assert (
        render("{% with m = memory.history | last %}{{ m.name }}{% endwith %}", memory=memory) == ""
    )
    assert (
        render("{{ (memory.history | first).name }}{{ ([] | first).x if 0 }}", memory=memory) == ""
    )
    assert render("{% set m = memory.h or memory.g %}{{ m.a }}") == ""
    assert render("{% set m = memory.h if 1 else 2 %}{{ m.a }}") == ""
    assert (
        render(
            "{% for m in memory.empty %}{% endfor %}{{ (memory.empty | first).a }}",
            memory={"empty": []},
        )
        == ""
    )


def test_value_missing_elsewhere_is_an_error():
    """A value missing elsewhere is an error with the name in the template."""
    error = error_of(
        "{% for m in input.list %}{{ m.nmae }}{% endfor %}", input={"list": [{"name": 1}]}
    )
    assert (error.name, error.nearest, error.column) == ("m.nmae", "m.name", 29)
    assert error_of("{% set m = [{}] %}{{ m[0].a }}").name == "m.0.a"


@pytest.mark.parametrize(
    "use",
    [
        "{{ memory.n + 1 }}",
        "{{ 1 - memory.n }}",
        "{{ memory.n > 1 }}",
        "{{ -memory.n }}",
        "{{ memory['n' ~ ''] * 2 }}",
    ],
)
def test_value_missing_in_memory_is_not_a_number(use):
    """The error for arithmetic with a missing value says how to provide a default."""
    error = error_of(use)
    assert "is not in memory, and an empty string is not valid here" in str(error)
    assert "| default(0)" in str(error)
    assert error.line == 1


def test_missing_input_may_have_a_default():
    """A missing input is an error where it is used, not where it is tested."""
    source = "{{ input.a | default('d') }}{{ input.a.b.c | d(1) }}{{ input.a is defined }}"
    assert render(source) == "d1false"
    assert render("{{ node is defined }}{{ node | default('none') }}") == "falsenone"
    for use in (
        "{{ input.a ~ 'x' }}",
        "{% if input.a %}{% endif %}",
        "{{ input.a | upper }}",
        "{{ input.a == 1 }}",
        "{{ [input.a] }}",
        "{{ input.a | length }}",
        "{{ input.a | tojson }}",
        "{{ input.a | int }}",
        "{{ input.a[1:] }}",
        "{% for x in input.a %}{% endfor %}",
        "{{ input.a | default(input.a) }}",
    ):
        assert error_of(use).name == "input.a"


def test_position_of_a_missing_value():
    """The error for a missing value has the position of the name, also in a block."""
    error = error_of(
        "a\n{% if 1 %}\n  é {{ 1 +\n   input.user.nmae }}\n{% endif %}",
        input={"user": {"name": "canary"}},
    )
    assert (error.line, error.column) == (4, 4)
    assert (error.name, error.nearest) == ("input.user.nmae", "input.user.name")
    assert "canary" not in str(error)


def test_computed_keys_are_not_quoted():
    """The error for a missing value does not quote a computed key."""
    error = error_of("{{ input[input.key].x }}", input={"key": "canary"})
    assert (error.name, error.nearest) == (None, None)
    assert "canary" not in str(error)
    assert "the computed key has no value" in str(error)


def test_keys_of_any_characters():
    """A key in brackets may contain any characters."""
    source = "{{ memory['user:prefs'].a }}{{ memory['a b']['é'] }}{{ input['items'] }}"
    memory = {"user:prefs": {"a": 1}, "a b": {"é": 2}}
    assert render(source, memory=memory, input={"items": 3}) == "123"
    assert [reference.name for reference in ENGINE.compile(source).references] == [
        "memory.user:prefs.a",
        "memory.a b.é",
        "input.items",
    ]


def test_ids_with_hyphens():
    """nodes[...] finds a node whose id has a hyphen."""
    template = ENGINE.compile("{{ nodes['my-node'].text }}{{ nodes['b'] }}{{ nodes['nodes'].x }}")
    namespace = {"input": {}, "memory": {}, "my-node": {"text": 1}, "b": 2, "nodes": {"x": 3}}
    assert template.render(namespace) == "123"
    assert [(reference.root, reference.path) for reference in template.references] == [
        ("my-node", ("text",)),
        ("b", ()),
        ("nodes", ("x",)),
    ]
    error = error_of("{{ nodes['my-nod'].text }}", **{"my-node": {}})
    assert (error.name, error.nearest) == ("my-nod", "my-node")
    assert error_of("{{ nodes['n'].txt }}", n={"text": 1}).name == "n.txt"


def test_nodes_with_a_dot():
    """nodes.name finds a node, too."""
    assert ENGINE.compile("{{ nodes.a.b }}").references[0].name == "a.b"
    assert render("{{ nodes.a.b }}", a={"b": 1}) == "1"


@pytest.mark.parametrize("source", ["{{ nodes }}", "{{ nodes[0] }}", "{{ nodes[input.a] }}"])
def test_nodes_requires_a_literal_id(source):
    """nodes alone, or with a computed id, is refused."""
    assert "nodes takes the id of a node" in str(error_of(source))


@pytest.mark.parametrize(
    ("source", "name", "better"),
    [
        ("{{ my-node }}", "my-node", "nodes['my-node']"),
        ("{{ my-node.text | upper }}", "my-node", "nodes['my-node']"),
        ("{{ a-b-c }}", "a-b-c", "nodes['a-b-c']"),
        ("{{ input.user-name }}", "input.user-name", "input['user-name']"),
        ("{{ 'a' ~ memory.x-y }}", "memory.x-y", "memory['x-y']"),
    ],
)
def test_name_with_a_hyphen_is_refused(source, name, better):
    """The error for a name with a hyphen shows the form in brackets."""
    error = error_of(source)
    assert f"write {better}" in str(error)
    assert error.name in name
    assert error.line == 1


def test_subtraction():
    """A minus between blanks, or beside a number or a local name, subtracts."""
    memory = {"a": 5, "b": 3}
    assert (
        render("{{ memory.a - memory.b }}{{ memory.a-1 }}{{ 9-memory.a }}", memory=memory) == "244"
    )
    assert render("{% set x = 2 %}{{ memory.a-x }}", memory=memory) == "3"


def test_self_is_refused():
    """The error for self, which Jinja reserves, names the alternative."""
    assert "nodes['self']" in str(error_of("{{ self.x }}"))
    assert render("{{ nodes['self'] }}", self=1) == "1"
