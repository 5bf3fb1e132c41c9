"""Prompts: loops, filters, JSON."""

import signal

import pytest

from fibonacci import LLMNode, Workflow
from fibonacci.errors import TemplateError
from fibonacci_jinja import JinjaEngine

HISTORY = [
    {"role": "user", "content": "Hé <b>"},
    {"role": "assistant", "content": "{{ 7 * 7 }}", "tags": ["a", None]},
]
ENGINE = JinjaEngine()


def render(source, **namespace):
    filled = {"input": {"x": "X"}, "memory": {"history": HISTORY}, **namespace}
    return ENGINE.compile(source).render(filled)


def test_loop():
    """A loop over a chat leaves no blank lines for its tags."""
    source = """Chat:
{% for m in memory.history %}
  {% if not loop.first %}
then
  {% endif %}
{{ loop.index }} of {{ loop.length }}, {{ m.role }}: {{ m.content }}
{% endfor %}
End
"""
    expected = "Chat:\n1 of 2, user: Hé <b>\nthen\n2 of 2, assistant: {{ 7 * 7 }}\nEnd\n"
    assert render(source) == expected


def test_loop_variables():
    """loop has its attributes of Jinja, and undefined neighbours at its ends."""
    source = (
        "{% for m in memory.history %}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }}"
        "{{ loop.previtem.role | default('-') }}{{ loop.nextitem is defined }} {% endfor %}"
    )
    assert render(source) == "atrue-true btrueuserfalse "
    with pytest.raises(TemplateError, match=r"'loop\.nope' has no value"):
        render("{% for m in memory.history %}{{ loop.nope }}{% endfor %}")


def test_recursive_loop():
    """A recursive loop renders nested items."""
    tree = [{"name": "a", "below": [{"name": "b"}]}]
    source = (
        "{% for n in memory.tree recursive %}"
        "{{ n.name }}{{ loop.depth }}({{ loop(n.below) if n.below else '' }}){% endfor %}"
    )
    assert render(source, memory={"tree": tree}) == "a1(b2())"


def test_macro_and_call():
    """A template may define macros and call them."""
    source = (
        "{% macro say(who, what='hi') %}{{ who }}: {{ what }}"
        "{{ caller() if caller is defined }}{% endmacro %}"
        "{{ say('a', input.x) }} {{ say('b') }} {% call say('c') %}!{% endcall %}"
    )
    assert render(source) == "a: X b: hi c: hi!"


def test_set_with_and_filter_blocks():
    """set, with and filter blocks work as in Jinja."""
    source = (
        "{% set a = input.x %}{% set b %}<{{ a }}>{% endset %}{% with c = b ~ 1 %}{{ c }}"
        "{% endwith %}{% filter upper %}é{{ b }}{% endfilter %}{% set b %}{% endset %}{{ b }}"
    )
    assert render(source) == "<X>1É<X>"


def test_raw():
    """The text within raw is not rendered."""
    assert render("{% raw %}{{ input.x }}{% endraw %}") == "{{ input.x }}"


def test_values_are_rendered_as_json():
    """A value becomes JSON when printed, joined by ~, or passed to a text filter."""
    assert render("{{ [true, none, 'é'] }}{{ true }}{{ none }}") == '[true,null,"é"]truenull'
    assert render("{{ true ~ [none] ~ memory.history.1.tags }}") == 'true[null]["a",null]'
    assert render("{{ [true, [none]] | join(none) }}") == "truenull[null]"
    assert render("{{ [1, true] | string }}{{ none | upper }}") == "[1,true]NULL"
    assert render("{{ input.x | replace('X', [true]) }}{{ [true]|trim }}") == "[true][true]"
    assert render("{{ memory.history.1.tags | indent }}{{ {'a': none} }}") == '["a",null]{"a":null}'
    assert render("{% filter replace(true, none) %}true{% endfilter %}") == "null"


def test_lazy_values_are_rendered_as_lists():
    """The lazy results of filters are rendered as lists."""
    assert render("{{ memory.history | map(attribute='role') }}") == '["user","assistant"]'
    grouped = '[["assistant",[1]],["user",[0]]]'
    source = "{{ [{'r': 'user', 'n': 0}, {'r': 'assistant', 'n': 1}] | groupby('r') }}"
    assert render(source) == grouped.replace("[1]", '[{"r":"assistant","n":1}]').replace(
        "[0]", '[{"r":"user","n":0}]'
    )
    assert render("{{ [1, 2, 3] | batch(2) }}{{ {'a': [1] | reverse} }}") == '[[1,2],[3]]{"a":[1]}'


def test_chat():
    """A chat is rendered as lines; a missing or empty one as none."""
    assert render("{{ memory.history | chat }}") == "user: Hé <b>\nassistant: {{ 7 * 7 }}"
    assert render("{{ memory.history | last(1) | chat }}") == "assistant: {{ 7 * 7 }}"
    assert render("{{ memory.history | reverse | chat }}").startswith("assistant: ")
    assert render("{{ [] | chat }}{{ memory.nope | chat }}") == ""


def test_first_and_last():
    """first and last return an item, last(n) a list."""
    assert render("{{ [1, 2, 3] | last }}{{ [1, 2, 3] | first }}") == "31"
    assert render("{{ [1, 2, 3] | last(2) }}{{ [1] | last(9) }}{{ [1] | last(0) }}") == "[2,3][1][]"
    assert (
        render("{{ memory.nope | last }}{{ memory.nope | first }}{{ memory.nope|last(2) }}") == "[]"
    )
    assert render("{{ [] | last | default('none') }} {{ [] | first is defined }}") == "none false"
    for n in ("-1", "'a'"):
        with pytest.raises(TemplateError, match="last takes a number"):
            render(f"{{{{ [1] | last({n}) }}}}")


def test_slices_and_negative_indexes():
    """Slices and negative indexes work as in Python."""
    assert render("{{ memory.history[-1].role }}{{ memory.history[-9].role }}") == "assistant"
    assert render("{{ memory.history[1:] | length }}{{ input.x[:1] }}{{ memory.nope[1:] }}") == "1X"


def test_tojson():
    """tojson uses only the escapes that JSON requires, and takes indent."""
    assert render("{{ '<é>' | tojson }}{{ memory.nope | tojson }}") == '"<é>"""'
    assert render("{{ {'é': [1]} | tojson(indent=1) }}") == '{\n "é": [\n  1\n ]\n}'
    assert render("{{ [2 ** 70] | tojson }}") == "[1180591620717411303424]"


def test_items():
    """The filter items returns the pairs of a mapping; .items is a key."""
    source = "{% for k, v in input | items %}{{ k }}={{ v }} {% endfor %}{{ input.items }}"
    assert render(source, input={"items": 1, "b": [2]}) == "items=1 b=[2] 1"
    assert render("{% for k, v in memory.nope | items %}{{ k }}{% endfor %}") == ""
    with pytest.raises(TemplateError, match=r"'input\.nope' has no value"):
        render("{{ input.nope | items }}")


def test_join_by_attribute():
    """join takes a key of each item."""
    assert render("{{ memory.history | join(', ', attribute='role') }}") == "user, assistant"
    assert render("{{ [] | join }}{{ [1] | join('-') }}{{ [1, 2] | join }}") == "112"


def test_numbers_from_text():
    """int and float convert text, and return the default for a missing value."""
    assert render("{{ '3' | int + 1 }}{{ memory.n | int(7) }}{{ memory.n | float }}") == "470.0"


def test_escape_is_explicit():
    """Only the filter escape escapes, and its result is a str."""
    assert render("{{ memory.history.0.content }}") == "Hé <b>"
    assert render("{{ memory.history.0.content | e ~ '<' }}{{ '<' | escape }}") == (
        "Hé &lt;b&gt;<&lt;"
    )


def test_replace():
    """replace takes a count."""
    assert render("{{ 'aaa' | replace('a', 'b', 2) }}{{ 'aaa' | replace('a', 'b') }}") == "bbabbb"


def test_inline_if_without_else():
    """An inline if without else renders nothing if it is false."""
    assert render("<{{ input.x if memory.nope }}>") == "<>"


def test_workflow_with_jinja():
    """Workflow(templating='jinja') renders its prompts with this engine."""
    workflow = Workflow("w", templating="jinja")
    workflow.add_node(LLMNode("n", "echo", "{% for x in input.xs %}{{ x }};{% endfor %}"))
    assert workflow.execute({"xs": [1, "two"]})["n"] == "1;two;"


def test_exception_of_a_signal_handler_is_raised_unchanged():
    """An exception of a signal handler is raised unchanged."""
    error = ValueError("soft time limit")

    def handler(*_):
        raise error

    def history():
        signal.raise_signal(signal.SIGUSR1)
        yield "never"

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(ValueError, match="soft time limit") as caught:
            render(
                "{% for m in memory.history %}{{ m }}{% endfor %}", memory={"history": history()}
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value is error
