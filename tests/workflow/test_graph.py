"""The graph: dependencies that are declared, and those from references in templates."""

from typing import Any

import pytest

from fibonacci import FunctionNode, LLMNode, Workflow, WorkflowValidationError, register_plugin
from fibonacci._builtin.echo import Echo
from fibonacci.plugin import Model, ModelSettings, hookimpl


def test_edges_from_templates(workflow: Workflow, execute: Any) -> None:
    """A node depends on those that its prompts reference, in whatever order they were added."""
    workflow.add_node(LLMNode("last", "echo", "<{{middle}}>", system_prompt="{{first}}"))
    workflow.add_node(LLMNode("middle", "echo", "({{first}})"))
    workflow.add_node(LLMNode("first", "echo", "{{input.x}}"))
    assert execute(workflow, {"x": "1"}) == {"last": "<(1)>", "middle": "(1)", "first": "1"}


def test_edges_from_dependencies(workflow: Workflow, execute: Any) -> None:
    """A node waits for its `dependencies`, and a FunctionNode has their outputs in ctx.results."""
    workflow.add_node(FunctionNode("sum", lambda ctx: sum(ctx.results.values()), dependencies="ab"))
    workflow.add_node(FunctionNode("ab", lambda ctx: ctx.results["a"] + 1, dependencies=["a"]))
    workflow.add_node(FunctionNode("a", lambda _: 1))
    assert execute(workflow) == {"sum": 2, "ab": 2, "a": 1}


def test_edges_from_keys(workflow: Workflow, execute: Any) -> None:
    """A node depends on those that its memory_write keys reference; its own id is no cycle."""
    workflow.add_node(
        FunctionNode("n", lambda _: {"id": 7}, memory_write="{{topic}}:{{n.id}}:{{input.x}}")
    )
    workflow.add_node(FunctionNode("topic", lambda _: "news"))
    execute(workflow, {"x": "y"})
    assert workflow.memory.get("news:7:y") == {"id": 7}


def test_diamond(workflow: Workflow, execute: Any) -> None:
    """In a diamond of four nodes each runs once."""
    runs: list[str] = []

    def noted(name: str) -> Any:
        return lambda ctx: runs.append(name) or name + "".join(sorted(ctx.results.values()))

    workflow.add_node(FunctionNode("d", noted("d"), dependencies=["b", "c", "b"]))
    workflow.add_node(FunctionNode("b", noted("b"), dependencies=["a"]))
    workflow.add_node(FunctionNode("c", noted("c"), dependencies=["a"]))
    workflow.add_node(FunctionNode("a", noted("a")))
    assert execute(workflow)["d"] == "dbaca"
    assert sorted(runs) == ["a", "b", "c", "d"]


def test_order_of_results(workflow: Workflow, execute: Any) -> None:
    """Results and traces are in the order in which the nodes were added."""
    for node_id, needs in (("z", ["a"]), ("m", []), ("a", ["m"])):
        workflow.add_node(FunctionNode(node_id, lambda _: 1, dependencies=needs))
    result = execute(workflow)
    assert [*result] == [*result.trace] == ["z", "m", "a"]


@pytest.mark.parametrize("verb", [Workflow.validate, Workflow.execute])
def test_cycle_error_shows_the_path(workflow: Workflow, verb: Any) -> None:
    """A dependency cycle is an error that shows it; nothing runs."""
    calls: list[int] = []
    workflow.add_node(FunctionNode("start", lambda _: calls.append(1)))
    workflow.add_node(LLMNode("a", "echo", "{{c}}", dependencies=["start"]))
    workflow.add_node(LLMNode("b", "echo", "{{a}}"))
    workflow.add_node(FunctionNode("c", lambda _: calls.append(1), dependencies=["b"]))
    with pytest.raises(WorkflowValidationError, match="dependency cycle: ") as caught:
        verb(workflow)
    assert any(way in str(caught.value) for way in ("a -> b -> c", "b -> c -> a", "c -> a -> b"))
    assert calls == []


def test_self_dependency_is_a_cycle(workflow: Workflow) -> None:
    """A node that references itself, in dependencies or in a prompt, is a cycle."""
    workflow.add_node(LLMNode("n", "echo", "{{n}}"))
    with pytest.raises(WorkflowValidationError, match="n -> n"):
        workflow.validate()


def test_all_unknown_nodes_are_reported(workflow: Workflow) -> None:
    """One error reports all unknown ids, each with its position and a similar id."""
    workflow.add_node(LLMNode("summary", "echo", "x"))
    workflow.add_node(LLMNode("a", "echo", "text\n {{sumary}}"))
    workflow.add_node(FunctionNode("b", print, dependencies=["sumary"]))
    workflow.add_node(LLMNode("c", "echo", "{{inputs.x}}"))
    with pytest.raises(WorkflowValidationError) as caught:
        workflow.validate()
    text = str(caught.value)
    assert "the prompt of node 'a': line 2, column 4 references 'sumary'" in text
    assert "node 'b' depends on 'sumary', but there is no such node." in text
    assert text.count("Did you mean 'summary'?") == 2
    assert "Did you mean 'input'?" in text


def test_hint_for_a_missing_input_prefix(workflow: Workflow) -> None:
    """The error of an unknown node says how to reference inputs and memory."""
    workflow.add_node(LLMNode("a", "echo", "{{message}}"))
    with pytest.raises(WorkflowValidationError) as caught:
        workflow.validate()
    assert str(caught.value).endswith(
        "there is no such node. An input is input.message, a memory value is memory.message; "
        "a prompt that is not a template is fibonacci.literal(...)"
    )


def test_workflow_without_nodes_is_refused(workflow: Workflow, execute: Any) -> None:
    """execute() refuses a workflow without nodes."""
    with pytest.raises(WorkflowValidationError, match="has no nodes: add one with add_node"):
        execute(workflow)


def test_validate_runs_nothing(workflow: Workflow) -> None:
    """validate() checks graph and models, and runs no node."""
    calls: list[int] = []
    workflow.add_node(FunctionNode("n", lambda _: calls.append(1)))
    workflow.validate()
    assert calls == []


def test_node_added_after_an_execution(workflow: Workflow, execute: Any) -> None:
    """A node that is added after an execution is part of the next one."""
    workflow.add_node(LLMNode("a", "echo", "1"))
    assert execute(workflow) == {"a": "1"}
    workflow.add_node(LLMNode("b", "echo", "{{a}}2"))
    assert execute(workflow) == {"a": "1", "b": "12"}


def test_node_added_during_a_run(workflow: Workflow, execute: Any) -> None:
    """A run that has started keeps the nodes that it started with."""

    def grow(_: Any) -> None:
        workflow.add_node(LLMNode("late", "echo", "x"))

    workflow.add_node(FunctionNode("grow", grow))
    workflow.add_node(FunctionNode("next", lambda _: 1, dependencies=["grow"]))
    assert execute(workflow) == {"grow": None, "next": 1}
    assert [node.id for node in workflow.nodes] == ["grow", "next", "late"]


def test_node_added_during_preparation(workflow: Workflow) -> None:
    """A node that is added while an execution prepares is part of the next one."""

    class Provider:
        FIBONACCI_SPEC_VERSION = 1

        @hookimpl
        def fibonacci_model(self, settings: ModelSettings) -> Model:
            if len(workflow.nodes) == 1:  # stands for another thread that adds one just now
                workflow.add_node(LLMNode("late", "echo", "x"))
            return Echo()

    with register_plugin("models", "provider", Provider()):
        workflow.add_node(LLMNode("n", "provider", "x"))
        workflow.execute()
        assert [*workflow.execute()] == ["n", "late"]
