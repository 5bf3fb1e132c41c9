"""literal(text): a prompt that is not a template."""

from typing import Any

import pytest

from fibonacci import LLMNode, TemplateError, Workflow, WorkflowValidationError, literal
from fibonacci.plugin import ModelRequest

TEXT = (
    'Return {{"name": "x"}} ${{ secrets.T }} {{#if u}} {{input.x}} {% raw %} {# no #} \\frac{{a}}'
)


@pytest.mark.parametrize("templating", ["builtin", "jinja"])
def test_literal_text_is_not_a_template(execute: Any, templating: str) -> None:
    """With any engine, literal prompts and system prompts reach the model unchanged."""
    seen: list[tuple[str, str | None]] = []

    def model(request: ModelRequest) -> str:
        seen.append((request.prompt, request.system_prompt))
        return ""

    workflow = Workflow("flow", templating=templating)
    workflow.add_node(LLMNode("n", model, literal(TEXT), system_prompt=literal(TEXT)))
    workflow.add_node(LLMNode("m", model, "{{n}}{{input.x}}", system_prompt=literal("")))
    execute(workflow, {"x": TEXT})
    assert seen == [(TEXT, TEXT), (TEXT, None)]


BRACES = (
    'Return {{"name": "x"}}',
    "${{ secrets.T }}",
    "{{#if u}}{{/if}}",
    r"\frac{{a}}{b}",
    "{{ .Values.x }}",
    "{{f(x)}}",
    "{{a b}}",
    "{{a|b}}",
    "{{a:b}}",
    "{{a}",
)


@pytest.mark.parametrize("templating", ["builtin", "jinja"])
@pytest.mark.parametrize("text", BRACES)
def test_error_for_other_braces_mentions_literal(text: str, templating: str) -> None:
    """The error for braces of another tool's syntax mentions ``literal``."""

    def check() -> None:
        workflow = Workflow("flow", templating=templating)
        workflow.add_node(LLMNode("n", "echo", text))
        workflow.validate()

    with pytest.raises((TemplateError, WorkflowValidationError), match=r"fibonacci\.literal\("):
        check()


def test_literal_takes_only_text() -> None:
    """literal() refuses what is not text, and its repr does not show the text."""
    with pytest.raises(WorkflowValidationError, match="literal takes text, not int"):
        literal(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert "secret" not in repr(literal("secret"))
    with pytest.raises(TypeError):
        _ = literal("{{") + "{{input.x}}"  # type: ignore[operator] # pyright: ignore[reportOperatorIssue]
