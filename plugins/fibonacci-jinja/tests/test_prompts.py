"""What prompts are made of: loops, filters, JSON."""

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
    """A loop over a chat; the lines of its tags leave none behind."""
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


def test_loop_has_what_jinja_gives_it():
    """The names of ``loop`` are there; its neighbours may be missing, as in Jinja."""
    source = (
        "{% for m in memory.history %}{{ loop.cycle('a', 'b') }}{{ loop.changed(m.role) }}"
        "{{ loop.previtem.role | default('-') }}{{ loop.nextitem is defined }} {% endfor %}"
    )
    assert render(source) == "atrue-true btrueuserfalse "
    with pytest.raises(TemplateError, match=r"'loop\.nope' has no value"):
        render("{% for m in memory.history %}{{ loop.nope }}{% endfor %}")


def test_recursive_loop():
    """A loop may call itself for what is nested."""
    tree = [{"name": "a", "below": [{"name": "b"}]}]
    source = (
        "{% for n in memory.tree recursive %}"
        "{{ n.name }}{{ loop.depth }}({{ loop(n.below) if n.below else '' }}){% endfor %}"
    )
    assert render(source, memory={"tree": tree}) == "a1(b2())"


def test_macro_and_call():
    """A template may define macros, and call them."""
    source = (
        "{% macro say(who, what='hi') %}{{ who }}: {{ what }}"
        "{{ caller() if caller is defined }}{% endmacro %}"
        "{{ say('a', input.x) }} {{ say('b') }} {% call say('c') %}!{% endcall %}"
    )
    assert render(source) == "a: X b: hi c: hi!"


def test_set_with_and_filter_blocks():
    """Names may be set, for good or for a block, and blocks be filtered."""
    source = (
        "{% set a = input.x %}{% set b %}<{{ a }}>{% endset %}{% with c = b ~ 1 %}{{ c }}"
        "{% endwith %}{% filter upper %}é{{ b }}{% endfilter %}{% set b %}{% endset %}{{ b }}"
    )
    assert render(source) == "<X>1É<X>"


def test_raw():
    """What stands between raw and endraw is text."""
    assert render("{% raw %}{{ input.x }}{% endraw %}") == "{{ input.x }}"


def test_json_everywhere():
    """Wherever a value becomes text, it becomes JSON: printed, joined by ~, or in a filter."""
    assert render("{{ [true, none, 'é'] }}{{ true }}{{ none }}") == '[true,null,"é"]truenull'
    assert render("{{ true ~ [none] ~ memory.history.1.tags }}") == 'true[null]["a",null]'
    assert render("{{ [true, [none]] | join(none) }}") == "truenull[null]"
    assert render("{{ [1, true] | string }}{{ none | upper }}") == "[1,true]NULL"
    assert render("{{ input.x | replace('X', [true]) }}{{ [true]|trim }}") == "[true][true]"
    assert render("{{ memory.history.1.tags | indent }}{{ {'a': none} }}") == '["a",null]{"a":null}'
    assert render("{% filter replace(true, none) %}true{% endfilter %}") == "null"


def test_lazy_values_are_lists():
    """What filters make one by one is shown as a list."""
    assert render("{{ memory.history | map(attribute='role') }}") == '["user","assistant"]'
    grouped = '[["assistant",[1]],["user",[0]]]'
    source = "{{ [{'r': 'user', 'n': 0}, {'r': 'assistant', 'n': 1}] | groupby('r') }}"
    assert render(source) == grouped.replace("[1]", '[{"r":"assistant","n":1}]').replace(
        "[0]", '[{"r":"user","n":0}]'
    )
    assert render("{{ [1, 2, 3] | batch(2) }}{{ {'a': [1] | reverse} }}") == '[[1,2],[3]]{"a":[1]}'


def test_chat():
    """A chat is lines of role and content; of a list that is missing or empty, none."""
    assert render("{{ memory.history | chat }}") == "user: Hé <b>\nassistant: {{ 7 * 7 }}"
    assert render("{{ memory.history | last(1) | chat }}") == "assistant: {{ 7 * 7 }}"
    assert render("{{ memory.history | reverse | chat }}").startswith("assistant: ")
    assert render("{{ [] | chat }}{{ memory.nope | chat }}") == ""


def test_first_and_last():
    """One item, or as many as are asked for."""
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
    """Lists are cut and counted from their end, as in Python."""
    assert render("{{ memory.history[-1].role }}{{ memory.history[-9].role }}") == "assistant"
    assert render("{{ memory.history[1:] | length }}{{ input.x[:1] }}{{ memory.nope[1:] }}") == "1X"


def test_tojson():
    """JSON with nothing escaped that need not be; text too; in lines where it is asked for."""
    assert render("{{ '<é>' | tojson }}{{ memory.nope | tojson }}") == '"<é>"""'
    assert render("{{ {'é': [1]} | tojson(indent=1) }}") == '{\n "é": [\n  1\n ]\n}'
    assert render("{{ [2 ** 70] | tojson }}") == "[1180591620717411303424]"


def test_items():
    """The pairs of a mapping, by the filter: the name is a key like any other."""
    source = "{% for k, v in input | items %}{{ k }}={{ v }} {% endfor %}{{ input.items }}"
    assert render(source, input={"items": 1, "b": [2]}) == "items=1 b=[2] 1"
    assert render("{% for k, v in memory.nope | items %}{{ k }}{% endfor %}") == ""
    with pytest.raises(TemplateError, match=r"'input\.nope' has no value"):
        render("{{ input.nope | items }}")


def test_join_by_attribute():
    """Join takes a key of each item."""
    assert render("{{ memory.history | join(', ', attribute='role') }}") == "user, assistant"
    assert render("{{ [] | join }}{{ [1] | join('-') }}{{ [1, 2] | join }}") == "112"


def test_numbers_from_text():
    """Text becomes a number, and what is missing in memory its default."""
    assert render("{{ '3' | int + 1 }}{{ memory.n | int(7) }}{{ memory.n | float }}") == "470.0"


def test_escape_is_asked_for():
    """Nothing is escaped unless by a filter, and the result is plain text."""
    assert render("{{ memory.history.0.content }}") == "Hé <b>"
    assert render("{{ memory.history.0.content | e ~ '<' }}{{ '<' | escape }}") == (
        "Hé &lt;b&gt;<&lt;"
    )


def test_replace():
    """Replace takes a count."""
    assert render("{{ 'aaa' | replace('a', 'b', 2) }}{{ 'aaa' | replace('a', 'b') }}") == "bbabbb"


def test_inline_if_without_else():
    """Nothing is shown where there is no else."""
    assert render("<{{ input.x if memory.nope }}>") == "<>"


def test_a_workflow_of_jinja():
    """``Workflow(templating="jinja")`` finds the engine, and renders its prompts with it."""
    workflow = Workflow("w", templating="jinja")
    workflow.add_node(LLMNode("n", "echo", "{% for x in input.xs %}{{ x }};{% endfor %}"))
    assert workflow.execute({"xs": [1, "two"]})["n"] == "1;two;"


def test_what_a_signal_handler_raises_comes_out_as_itself():
    """An application's own limit of time is no fault of the template."""
    fault = ValueError("soft time limit")

    def handler(*_):
        raise fault

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
    assert caught.value is fault
