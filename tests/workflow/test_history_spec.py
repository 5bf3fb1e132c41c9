"""LLMNode(history=...): which forms it takes, and what is refused before anything runs."""

from collections.abc import Callable
from typing import Any

import pytest

from fibonacci import (
    FunctionNode,
    InvalidArgumentError,
    LLMNode,
    NodeHistory,
    TemplateError,
    Workflow,
    WorkflowValidationError,
)
from fibonacci.plugin import Completion, Model, ModelRequest
from fibonacci.testing import ScriptedModel

COMPACT = {"model": "echo"}


def node(history: Any, **fields: Any) -> LLMNode:
    return LLMNode("answer", "echo", "x", history=history, **fields)


def test_key_is_a_history_with_defaults() -> None:
    """A key stands for the user's history, of which 3,000 tokens are sent."""
    spec = node("chat").history
    assert spec is not None
    assert (spec.key, spec.scope, spec.max_tokens, spec.max_turns) == ("chat", "user", 3_000, None)
    assert (spec.record, spec.compact) == (True, None)
    assert LLMNode("answer", "echo", "x").history is None


def test_all_fields() -> None:
    """A dict may name the scope, the limits, what is recorded and who summarizes."""
    form: NodeHistory = {
        "key": "chat",
        "scope": "organization",
        "max_tokens": 500,
        "record": False,
        "compact": {"model": "echo"},
    }
    spec = node(form).history
    assert spec is not None
    assert (spec.scope, spec.max_tokens, spec.record) == ("organization", 500, False)
    assert spec.compact is not None
    assert spec.compact.keep_tokens == 250


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        ("", "'key' must be non-empty text"),
        ({"key": 1}, "'key' must be non-empty text"),
        (["chat"], "history takes keys, or dicts"),
        ({}, "history takes keys, or dicts"),
        ({"key": "c", "max_token": 1}, "no field 'max_token'. Did you mean 'max_tokens'"),
        ({"key": "c", "scope": "users"}, "unknown scope"),
        ({"key": "c", "max_tokens": 0}, "max_tokens must be a whole number of at least 1"),
        ({"key": "c", "max_tokens": None}, "max_tokens must be a whole number"),
        ({"key": "c", "max_turns": True}, "max_turns must be a whole number"),
        ({"key": "c", "record": ""}, "record must be True, False, or a template"),
        ({"key": "c", "record": 1}, "record must be True, False, or a template"),
        ({"key": "c", "compact": "echo"}, "compact must be a dict with the model"),
        ({"key": "c", "compact": {}}, "compact must be a dict with the model"),
        ({"key": "c", "compact": {"model": ""}}, "compact must be a dict with the model"),
        ({"key": "c", "compact": {**COMPACT, "keep": 1}}, "no field 'keep'"),
        ({"key": "c", "compact": {**COMPACT, "keep_tokens": 0}}, "keep_tokens must be a whole"),
        ({"key": "c", "compact": {**COMPACT, "keep_tokens": 31}}, "at least 32"),
        ({"key": "c", "compact": {**COMPACT, "keep_tokens": 1_501}}, "at most half of max_tokens"),
        ({"key": "c", "max_tokens": 63, "compact": COMPACT}, "at least 32"),
        ({"key": "c", "max_turns": 2, "compact": COMPACT}, "leave out max_turns, or compact"),
        ({"key": "c", "compact": {"model": 1}}, "the model of the history's compact must be"),
        ({"key": "c", "compact": {"model": ScriptedModel}}, "is a class; pass an instance"),
    ],
)
def test_bad_forms_are_refused(history: Any, problem: str) -> None:
    """A form that means nothing is refused when the node is created."""
    with pytest.raises(WorkflowValidationError) as caught:
        node(history)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("history", "error", "problem"),
    [
        ("x" * 1_001, WorkflowValidationError, "the history of node 'answer': the key"),
        ("x" * 959, WorkflowValidationError, "has 959 bytes in UTF-8; it may have 958"),
        (f"c/pages/{'A' * 22}/{'0' * 12}", WorkflowValidationError, "which is the key of a page"),
        ("{{memory.k}}", TemplateError, "before memory is read"),
        ("{{answer}}", TemplateError, "before the node has run"),
        ("{{input.", TemplateError, "the history of node 'answer'"),
        ({"key": "c", "record": "{{memory.k}}"}, TemplateError, "add 'k' to its memory_read"),
    ],
)
def test_bad_templates_are_refused(
    workflow: Workflow, history: Any, error: type[Exception], problem: str
) -> None:
    """A key or a template that can never work is refused when the node is added."""
    with pytest.raises(error) as caught:
        workflow.add_node(node(history))
    assert problem in str(caught.value)


def test_missing_input_of_record_is_found_before_anything_runs(
    workflow: Workflow, execute: Any
) -> None:
    """An input that only the recorded text needs is required like any other."""
    workflow.add_node(node({"key": "c", "record": "{{input.message}}"}))
    with pytest.raises(InvalidArgumentError, match="the history of node 'answer' uses it"):
        execute(workflow, user_id="ada")


class Plain(Model):
    """A model that takes a prompt only."""

    def complete(self, request: ModelRequest) -> Completion:
        raise AssertionError


def test_model_that_takes_no_messages_is_refused(workflow: Workflow) -> None:
    """A model that can't be sent messages is refused before anything runs."""
    workflow.add_node(LLMNode("answer", Plain(), "x", history="chat"))
    with pytest.raises(WorkflowValidationError, match=r"'answer'.* does not support messages"):
        workflow.validate()


def test_model_that_summarizes_needs_no_messages(workflow: Workflow) -> None:
    """A model that only summarizes gets a prompt."""
    workflow.add_node(node({"key": "c", "compact": {"model": Plain()}}))
    workflow.validate()


def reader(**fields: Any) -> Callable[[Workflow], None]:
    return lambda workflow: workflow.add_node(FunctionNode("other", print, **fields))


@pytest.mark.parametrize(
    ("add", "problem"),
    [
        (reader(memory_read=["chat"]), "reads 'chat', the history of node 'answer'"),
        (
            reader(memory_read=[{"key": "chat", "scope": "user"}]),
            "use LLMNode(history='chat'), or ctx.memory.history('chat').messages()",
        ),
        (reader(memory_write="chat"), "writes 'chat', the history of node 'answer'"),
        (reader(memory_write={"key": "chat", "scope": "user"}), "give one of them another key"),
    ],
)
def test_record_of_a_history_is_no_value(workflow: Workflow, add: Any, problem: str) -> None:
    """A node that reads or writes the record of another's history is refused."""
    workflow.add_node(node("chat"))
    add(workflow)
    with pytest.raises(WorkflowValidationError) as caught:
        workflow.validate()
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"memory_read": ["log"]},
            "'scope': 'workflow'}), or ctx.memory.history('log', 'workflow')",
        ),
        ({"memory_write": "log"}, "writes 'log', the history of node 'answer'"),
        ({"memory_write": {"key": "log", "scope": "workflow"}}, "give one of them another key"),
    ],
)
def test_record_of_a_shared_history_is_no_value(
    workflow: Workflow, fields: Any, problem: str
) -> None:
    """A write without a scope goes to the workflow in a run without a user, and is refused."""
    workflow.add_node(node({"key": "log", "scope": "workflow"}))
    reader(**fields)(workflow)
    with pytest.raises(WorkflowValidationError) as caught:
        workflow.validate()
    assert problem in str(caught.value)


def test_other_records_of_that_name_are_allowed(workflow: Workflow) -> None:
    """The same key in another scope is another record, and so is one that only begins like it."""
    workflow.add_node(node("chat"))
    workflow.add_node(
        FunctionNode(
            "other",
            print,
            memory_read=[{"key": "chat", "scope": "global"}],
            memory_write=[{"key": "chat", "scope": "workflow"}, "chat2"],
        )
    )
    workflow.validate()


def test_history_with_a_template_is_checked_when_it_runs(workflow: Workflow) -> None:
    """Whether a key that is a template is another node's record is not known before the run."""
    workflow.add_node(node("{{input.room}}"))
    workflow.add_node(FunctionNode("other", print, memory_write="chat"))
    workflow.validate()
