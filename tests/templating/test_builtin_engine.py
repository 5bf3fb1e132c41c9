"""The built-in engine: what is its own beyond the contract of engines."""

import pytest

from fibonacci._builtin.template_engine import BuiltinEngine
from fibonacci._discovery import find_plugin
from fibonacci.errors import TemplateError
from fibonacci.plugin import Engine, EngineSettings, Reference

REFERENCE_PROMPT = """Conversation history:
{{memory.history}}

User: {{input.message}}

Respond naturally."""


def render(source, **namespace):
    template = BuiltinEngine().compile(source)
    return template.render({"input": {}, "memory": {}, **namespace})


def refused(source):
    with pytest.raises(TemplateError) as caught:
        BuiltinEngine().compile(source)
    return caught.value


def test_it_is_the_engine_named_builtin():
    """Core registers it like any other plugin."""
    plugin = find_plugin("templating", "builtin")
    assert isinstance(plugin.call_hook(EngineSettings(name="builtin"), Engine), BuiltinEngine)


def test_the_prompt_of_the_reference():
    """A chat's history stands in the prompt as JSON, the message as it is."""
    history = [{"role": "user", "content": "Hé"}, {"role": "assistant", "content": "{{x}}"}]
    assert render(REFERENCE_PROMPT, memory={"history": history}, input={"message": '"Hi"'}) == (
        "Conversation history:\n"
        '[{"role":"user","content":"Hé"},{"role":"assistant","content":"{{x}}"}]\n'
        '\nUser: "Hi"\n\nRespond naturally.'
    )


@pytest.mark.parametrize("tag", ["{{a}}", "{{ a }}", "{{a }}", "{{\ta\n}}", "{{\r\n  a\r\n}}"])
def test_blanks_within_a_tag(tag):
    """Blanks and newlines may stand on either side of a name."""
    assert render(f"<{tag}>", a="x") == "<x>"


def test_place_of_a_name_below_its_tag():
    """Line and column are those of the name, not of its braces."""
    (reference,) = BuiltinEngine().compile("é {{\n\n  memory.a.b }}").references
    assert reference == Reference(root="memory", path=("a", "b"), line=3, column=3)


def test_names_with_hyphens():
    """Ids of nodes and keys may hold hyphens and digits, and begin with an underscore."""
    assert render("{{ my-node.the-key.x2 }}", **{"my-node": {"the-key": {"x2": 1}}}) == "1"
    assert render("{{ _x._y-.z }}", _x={"_y-": {"z": 1}}) == "1"


def test_index_right_below_a_root():
    """A node's output may be a list."""
    assert render("{{ node.1 }}", node=["a", "b"]) == "b"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_literal_braces(quote):
    """A pair of braces is text when it stands in quotes, of either kind."""
    opening, closing = f"{{{{ {quote}{{{{{quote} }}}}", f"{{{{{quote}}}}}{quote}}}}}"
    assert render(f"{opening} input.x {closing}", input={"x": 1}) == "{{ input.x }}"


@pytest.mark.parametrize(
    "text",
    ["{", "}", "}}", '{"a": {"b": 1}}', "{ { a } }", "{%x%}", "{#x#}", "${x}", "\\{\\{", "a}} {b"],
)
def test_other_braces_are_text(text):
    """Single braces, and closing ones by themselves, are text."""
    assert render(text) == text


def test_a_value_within_json():
    """A value may stand right before a brace."""
    assert render('{"a": {{input.a}}}', input={"a": [1]}) == '{"a": [1]}'


def test_names_far_apart_from_python():
    """A name is never taken for Python: not by dots, not by its length."""
    long = "k" * 10_000
    assert render("{{ memory." + long + " }}", memory={long: 1}) == "1"
    assert render("{{ memory" + ".a" * 2_000 + " }}") == ""


@pytest.mark.parametrize(
    ("source", "line", "column", "due"),
    [
        ("{{", 1, 1, "this {{ is never closed: a name is expected"),
        ("a\n b{{ ", 2, 3, "this {{ is never closed: a name is expected"),
        ("{{ input", 1, 1, "this {{ is never closed: }} is expected"),
        ("{{ input.", 1, 1, "this {{ is never closed: a key or an index is expected"),
        ("{{}}", 1, 3, "a name is expected, not '}'"),
        ("{{ 1 }}", 1, 4, "a name is expected, not '1'"),
        ("{{ é }}", 1, 4, "a name is expected, not 'é'"),
        ("{{{x}}}", 1, 3, "a name is expected, not '{'"),
        ('{{"a": 1}}', 1, 3, "a name is expected, not '\"'"),
        ("{{ .a }}", 1, 4, "a name is expected, not '.'"),
        ("{{ a. b }}", 1, 6, "a key or an index is expected, not ' '"),
        ("{{ a..b }}", 1, 6, "a key or an index is expected, not '.'"),
        ("{{ a.-b }}", 1, 6, "a key or an index is expected, not '-'"),
        ("{{ a.é }}", 1, 6, "a key or an index is expected, not 'é'"),
        ("{{ a.007 }}", 1, 7, "}} is expected, not '0'"),
        ("{{ a.1b }}", 1, 7, "}} is expected, not 'b'"),
        ("{{ a.1234567890 }}", 1, 15, "}} is expected, not '0'"),
        ("{{ a b }}", 1, 6, "}} is expected, not 'b'"),
        ("{{ a }", 1, 6, "}} is expected, not '}'"),
        ("x {{ input.a\nUser: {{ input.b }}", 2, 1, "}} is expected, not 'U'"),
    ],
)
def test_malformed_tag(source, line, column, due):
    """The error stands where the tag stops being one, and says what is due there."""
    fault = refused(source)
    assert (fault.line, fault.column) == (line, column)
    assert str(fault).startswith(f"line {line}, column {column}: {due}")


def test_advice_on_a_key_that_cannot_be_written():
    """A key with other characters is given a name where memory is read."""
    fault = refused("{{ memory.user:prefs }}")
    assert 'Give any other key a name with "as" in memory_read' in str(fault)
    assert (fault.name, fault.column) == ("memory.user", 15)


def test_advice_on_braces():
    """Who did not mean a name is told how braces are written."""
    told = str(refused('{{"role": "user"}}'))
    assert 'a literal brace pair is {{ "{{" }}' in told
    assert told.endswith("a prompt that is no template is fibonacci.literal(...)")
    assert str(refused("{{")).endswith("a prompt that is no template is fibonacci.literal(...)")


@pytest.mark.parametrize("tag", ["{{ a|upper }}", "{{ a.get('b') }}", "{{ a['b'] }}"])
def test_advice_on_what_jinja_has(tag):
    """Who expects more is told where it is."""
    assert 'Workflow(templating="jinja")' in str(refused(tag))


def test_only_names_that_can_be_written_are_proposed():
    """A key that no template can name is not what was meant."""
    template = BuiltinEngine().compile("{{ input.user_prefs }}")
    with pytest.raises(TemplateError) as caught:
        template.render({"input": {"user:prefs": 1, "user prefs": 2}, "memory": {}})
    assert caught.value.nearest is None


def test_a_value_without_form_is_named():
    """The error names the place and the type, and quotes no value."""
    template = BuiltinEngine().compile("a {{ node.x }}")
    with pytest.raises(TemplateError, match="JSON cannot represent") as caught:
        template.render({"input": {}, "memory": {}, "node": {"x": {"canary"}}})
    assert (caught.value.line, caught.value.column, caught.value.name) == (1, 6, "node.x")
    assert str(caught.value).endswith("(set): make it a sorted list")
    assert "canary" not in str(caught.value)


def test_a_part_without_form():
    """Where a part of a value has no form, the error says nothing of the whole, which has one."""
    template = BuiltinEngine().compile("{{ node }}")
    with pytest.raises(TemplateError, match=r"or a value in it \(dict\)$"):
        template.render({"input": {}, "memory": {}, "node": {"x": {1}}})


def test_many_names():
    """Places are right in a long template, too."""
    source = "".join(f"line {number}\n{{{{ memory.k{number} }}}}" for number in range(2_000))
    references = BuiltinEngine().compile(source).references
    assert [one.line for one in references] == list(range(2, 2_002))
    assert {one.column for one in references} == {4}
