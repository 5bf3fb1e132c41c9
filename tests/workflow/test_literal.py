"""literal(text): a prompt that is meant as it stands."""

from typing import Any

import pytest

from fibonacci import LLMNode, TemplateError, Workflow, WorkflowValidationError, literal
from fibonacci.plugin import ModelRequest

TEXT = (
    'Return {{"name": "x"}} ${{ secrets.T }} {{#if u}} {{input.x}} {% raw %} {# no #} \\frac{{a}}'
)


@pytest.mark.parametrize("templating", ["builtin", "jinja"])
def test_a_literal_text_is_no_template(execute: Any, templating: str) -> None:
    """With any engine, a literal prompt and system prompt reach the model as they are."""
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
def test_braces_that_are_no_names_are_told_of_literal(text: str, templating: str) -> None:
    """A text that other tools give their own braces is refused, with the name of ``literal``."""

    def check() -> None:
        workflow = Workflow("flow", templating=templating)
        workflow.add_node(LLMNode("n", "echo", text))
        workflow.validate()

    with pytest.raises((TemplateError, WorkflowValidationError), match=r"fibonacci\.literal\("):
        check()


def test_literal_takes_text() -> None:
    """What is no text is refused, and no repr shows the text."""
    with pytest.raises(WorkflowValidationError, match="literal takes text, not int"):
        literal(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert "secret" not in repr(literal("secret"))
    with pytest.raises(TypeError):
        _ = literal("{{") + "{{input.x}}"  # type: ignore[operator] # pyright: ignore[reportOperatorIssue]
