"""The built-in engine: its features beyond the contract of engines."""

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


def test_builtin_engine_is_registered():
    """Core registers the built-in engine as "builtin", like any plugin."""
    plugin = find_plugin("templating", "builtin")
    assert isinstance(plugin.call_hook(EngineSettings(name="builtin"), Engine), BuiltinEngine)


def test_history_renders_as_json_and_text_as_it_is():
    """A list renders as JSON in a prompt, and text as it is."""
    history = [{"role": "user", "content": "Hé"}, {"role": "assistant", "content": "{{x}}"}]
    assert render(REFERENCE_PROMPT, memory={"history": history}, input={"message": '"Hi"'}) == (
        "Conversation history:\n"
        '[{"role":"user","content":"Hé"},{"role":"assistant","content":"{{x}}"}]\n'
        '\nUser: "Hi"\n\nRespond naturally.'
    )


@pytest.mark.parametrize("tag", ["{{a}}", "{{ a }}", "{{a }}", "{{\ta\n}}", "{{\r\n  a\r\n}}"])
def test_whitespace_within_a_tag(tag):
    """Spaces and newlines may surround the name in a tag."""
    assert render(f"<{tag}>", a="x") == "<x>"


def test_position_is_that_of_the_name():
    """The line and column of a reference are those of the name, not of its braces."""
    (reference,) = BuiltinEngine().compile("é {{\n\n  memory.a.b }}").references
    assert reference == Reference(root="memory", path=("a", "b"), line=3, column=3)


def test_names_with_hyphens_and_digits():
    """Node ids and keys may contain hyphens and digits, and start with an underscore."""
    assert render("{{ my-node.the-key.x2 }}", **{"my-node": {"the-key": {"x2": 1}}}) == "1"
    assert render("{{ _x._y-.z }}", _x={"_y-": {"z": 1}}) == "1"


def test_index_of_a_node_output():
    """A tag may index the output of a node that is a list."""
    assert render("{{ node.1 }}", node=["a", "b"]) == "b"


@pytest.mark.parametrize("quote", ["'", '"'])
def test_literal_braces(quote):
    """A pair of braces in single or double quotes is text."""
    opening, closing = f"{{{{ {quote}{{{{{quote} }}}}", f"{{{{{quote}}}}}{quote}}}}}"
    assert render(f"{opening} input.x {closing}", input={"x": 1}) == "{{ input.x }}"


@pytest.mark.parametrize(
    "text",
    ["{", "}", "}}", '{"a": {"b": 1}}', "{ { a } }", "{%x%}", "{#x#}", "${x}", "\\{\\{", "a}} {b"],
)
def test_unpaired_braces_are_text(text):
    """Single braces, and closing braces without opening ones, are text."""
    assert render(text) == text


def test_tag_before_a_closing_brace():
    """A tag may stand right before a closing brace of JSON."""
    assert render('{"a": {{input.a}}}', input={"a": [1]}) == '{"a": [1]}'


def test_names_are_never_evaluated():
    """A name is never evaluated as Python, whatever its dots or its length."""
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
def test_malformed_tag_reports_position_and_expectation(source, line, column, due):
    """The error of a malformed tag has the position of the problem, and what is expected there."""
    error = refused(source)
    assert (error.line, error.column) == (line, column)
    assert str(error).startswith(f"line {line}, column {column}: {due}")


def test_hint_for_keys_that_no_tag_can_name():
    """The error of a key with other characters says to name it in memory_read."""
    error = refused("{{ memory.user:prefs }}")
    assert 'Give any other key a name with "as" in memory_read' in str(error)
    assert (error.name, error.column) == ("memory.user", 15)


def test_hint_for_braces_that_are_text():
    """The error of braces that are no tag says how to write them as text."""
    message = str(refused('{{"role": "user"}}'))
    assert 'a literal brace pair is {{ "{{" }}' in message
    assert message.endswith("a prompt that is no template is fibonacci.literal(...)")
    assert str(refused("{{")).endswith("a prompt that is no template is fibonacci.literal(...)")


@pytest.mark.parametrize("tag", ["{{ a|upper }}", "{{ a.get('b') }}", "{{ a['b'] }}"])
def test_hint_for_jinja_features(tag):
    """The error of a filter or a statement points to the engine that has it."""
    assert 'Workflow(templating="jinja")' in str(refused(tag))


def test_only_writable_names_are_suggested():
    """A key that no tag can name is not suggested."""
    template = BuiltinEngine().compile("{{ input.user_prefs }}")
    with pytest.raises(TemplateError) as caught:
        template.render({"input": {"user:prefs": 1, "user prefs": 2}, "memory": {}})
    assert caught.value.nearest is None


def test_unserializable_value_is_named():
    """The error of a value that JSON can't represent has the path and the type, and no value."""
    template = BuiltinEngine().compile("a {{ node.x }}")
    with pytest.raises(TemplateError, match="JSON cannot represent") as caught:
        template.render({"input": {}, "memory": {}, "node": {"x": {"canary"}}})
    assert (caught.value.line, caught.value.column, caught.value.name) == (1, 6, "node.x")
    assert str(caught.value).endswith("(set): make it a sorted list")
    assert "canary" not in str(caught.value)


def test_unserializable_part_is_named():
    """The error of an unserializable part does not describe the value that contains it."""
    template = BuiltinEngine().compile("{{ node }}")
    with pytest.raises(TemplateError, match=r"or a value in it \(dict\)$"):
        template.render({"input": {}, "memory": {}, "node": {"x": {1}}})


def test_positions_in_a_long_template():
    """Positions are right in a long template, too."""
    source = "".join(f"line {number}\n{{{{ memory.k{number} }}}}" for number in range(2_000))
    references = BuiltinEngine().compile(source).references
    assert [reference.line for reference in references] == list(range(2, 2_002))
    assert {reference.column for reference in references} == {4}
