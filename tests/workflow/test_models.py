"""Models by name: a provider and a name, a claimed prefix, the offline ones; or a Model."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fibonacci import (
    ConfigurationError,
    FunctionNode,
    LLMNode,
    NodeExecutionError,
    PluginLoadError,
    PluginNotFoundError,
    Workflow,
    WorkflowValidationError,
    plugins,
    register_plugin,
)
from fibonacci.plugin import Completion, Model, ModelRequest, ModelSettings, hookimpl


class Named(Model):
    """Answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def complete(self, request: ModelRequest) -> Completion:
        return Completion(text=self.name)


class Provider:
    """A plugin of models that notes what it is asked for."""

    FIBONACCI_SPEC_VERSION = 1

    def __init__(self, label: str) -> None:
        self.label = label
        self.asked: list[str] = []

    @hookimpl
    def fibonacci_model(self, settings: ModelSettings) -> Model:
        self.asked.append(settings.model)
        return Named(f"{self.label}({settings.model})")


@pytest.fixture
def parrot() -> Iterator[Provider]:
    """The provider ``parrot``."""
    provider = Provider("parrot")
    with register_plugin("models", "parrot", provider):
        yield provider


def answer(model: Any, **fields: Any) -> Any:
    """The output of one node with this model."""
    workflow = Workflow("flow")
    workflow.add_node(LLMNode(id="n", model=model, prompt="hello", **fields))
    return workflow.execute()["n"]


@pytest.mark.parametrize(
    ("name", "asked"),
    [("parrot", "parrot"), ("parrot:grey", "grey"), ("parrot:a:b", "a:b"), ("parrot:", "parrot:")],
)
def test_a_provider(parrot: Provider, name: str, asked: str) -> None:
    """``provider:model`` asks the provider for what stands behind the colon."""
    assert answer(name) == f"parrot({asked})"


def test_a_claimed_prefix() -> None:
    """A plugin whose name ends in "-" claims all models that start so; the longest wins."""
    short, long = Provider("short"), Provider("long")
    with (
        register_plugin("models", "claude-", short),
        register_plugin("models", "claude-opus-", long),
    ):
        assert answer("claude-haiku-4") == "short(claude-haiku-4)"
        assert answer("claude-opus-4") == "long(claude-opus-4)"
        assert answer("claude-opus-4:latest") == "long(claude-opus-4:latest)"


def test_a_provider_goes_before_a_prefix() -> None:
    """A provider that is named is asked, whoever claims how its name starts."""
    with (
        register_plugin("models", "claude-", Provider("claim")),
        register_plugin("models", "claude-local", Provider("own")),
    ):
        assert answer("claude-local:x") == "own(x)"


def installed() -> str:
    """What this environment has, as the errors list it."""
    return ", ".join(sorted(info.name for info in plugins() if info.kind == "models"))


MISSING = [
    ("anthropc:x", "unknown model provider 'anthropc'. Did you mean 'anthropic'?"),
    ("zzz", f"unknown model provider 'zzz'. Installed: {installed()}."),
]


@pytest.mark.parametrize(("name", "text"), MISSING)
def test_a_provider_that_is_missing(counted: Workflow, store: Any, name: str, text: str) -> None:
    """A model that can't be had is told before anything runs or is read."""
    ran: list[int] = []
    counted.add_node(FunctionNode("first", lambda _: ran.append(1)))
    counted.add_node(LLMNode("n", name, "{{memory.k}}", memory_read=["k"]))
    for verb in (counted.validate, counted.execute):
        with pytest.raises(PluginNotFoundError) as told:
            verb()
        assert str(told.value) == text
    assert (ran, store.reads) == ([], [])


def test_one_model_a_name(workflow: Workflow, parrot: Provider) -> None:
    """A workflow asks its provider once for each name, however many nodes and runs there are."""
    for node_id in ("a", "b"):
        workflow.add_node(LLMNode(node_id, "parrot:grey", "x"))
    workflow.execute()
    asyncio.run(workflow.aexecute())
    assert parrot.asked == ["grey"]


def test_a_provider_that_returns_no_model() -> None:
    """A provider that returns something else is told as the culprit."""

    class Broken:
        FIBONACCI_SPEC_VERSION = 1

        @hookimpl
        def fibonacci_model(self, settings: ModelSettings) -> Any:
            return "model"

    with (
        register_plugin("models", "broken", Broken()),
        pytest.raises(PluginLoadError, match="returned str instead of Model"),
    ):
        answer("broken:x")


def test_a_model(workflow: Workflow, execute: Any) -> None:
    """A Model is asked as it is, and gets all that the node says."""
    seen: list[ModelRequest] = []

    class Own(Model):
        supported_options = frozenset({"temperature", "stop"})

        def complete(self, request: ModelRequest) -> Completion:
            seen.append(request)
            return Completion(text="own")

    workflow.add_node(
        LLMNode(
            "n", Own(), "{{input.x}}", system_prompt="be {{input.x}}",
            max_tokens=5, temperature=0, stop=["END"], output_format="text",
        )
    )  # fmt: skip
    assert execute(workflow, {"x": "kind"}) == {"n": "own"}
    assert seen == [
        ModelRequest(
            prompt="kind", system_prompt="be kind", max_tokens=5, temperature=0, stop=("END",)
        )
    ]


def test_defaults_of_a_request(workflow: Workflow, execute: Any) -> None:
    """What a node does not say is not sent."""
    seen: list[ModelRequest] = []
    workflow.add_node(LLMNode("n", lambda request: seen.append(request) or "", "x"))
    execute(workflow)
    assert seen == [ModelRequest(prompt="x")]


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"stop": ["END"]}])
def test_what_a_model_does_not_heed(fields: dict[str, Any]) -> None:
    """A field that a model does not heed is refused before anything runs; none is ignored."""
    name = next(iter(fields))
    with pytest.raises(
        WorkflowValidationError, match=f"node 'n': its model does not take {name}: leave it out"
    ):
        answer(Named("parrot"), **fields)


@pytest.mark.parametrize("name", ["echo", 'scripted:["hello"]'])
def test_an_offline_model_takes_what_any_model_may(name: str) -> None:
    """A node stays as it is when an offline model stands in for its own."""
    assert answer(name, temperature=0.7, stop=["END"]) == "hello"


@pytest.mark.parametrize("name", ["echo", 'scripted:["hello"]'])
def test_an_offline_model_heeds_stop(name: str) -> None:
    """Its answer ends before the first text of ``stop``, in whatever order they are given."""
    assert answer(name, stop=["lo", "never", "l"]) == "he"
    assert answer(name, stop=["h"]) == ""


def test_all_refusals_are_told(workflow: Workflow) -> None:
    """All fields that no model heeds are told at once."""
    workflow.add_node(LLMNode("a", Named("a"), "x", temperature=1, stop=["x"]))
    workflow.add_node(LLMNode("b", Named("b"), "x", temperature=1))
    with pytest.raises(WorkflowValidationError) as told:
        workflow.validate()
    assert str(told.value).count("leave it out") == 3


def test_echo() -> None:
    """``echo`` answers with the prompt; there is no other echo."""
    assert answer("echo") == "hello"
    with pytest.raises(ConfigurationError, match="there is one echo, and it is named 'echo'"):
        answer("echo:loud")


def test_scripted(workflow: Workflow, execute: Any) -> None:
    """``scripted`` gives the answers of a list, over all nodes and runs, and then a ModelError."""
    workflow.add_node(LLMNode("a", 'scripted:["one", "two", "three"]', "x"))
    workflow.add_node(LLMNode("b", 'scripted:["one", "two", "three"]', "{{a}}"))
    assert execute(workflow) == {"a": "one", "b": "two"}
    with pytest.raises(NodeExecutionError, match="ModelError: the script has 3 completions"):
        execute(workflow)


@pytest.mark.parametrize("script", ["", ":", ":hello", ':{"a": 1}', ":[1]", ':["a"', ':"a"'])
def test_a_script_that_is_none(script: str) -> None:
    """A script is a JSON list of texts."""
    with pytest.raises(ConfigurationError, match="takes its completions as a JSON list of texts"):
        answer(f"scripted{script}")


def test_empty_script() -> None:
    """An empty script has no answer to give."""
    with pytest.raises(NodeExecutionError, match="the script has 0 completions"):
        answer("scripted:[]")


def test_models_stay_when_nodes_are_added(workflow: Workflow) -> None:
    """A provider is asked once for a name and a workflow, as its hook says: scripts go on."""
    workflow.add_node(LLMNode("a", 'scripted:["one", "two"]', "x"))
    workflow.execute()
    workflow.add_node(LLMNode("b", "echo", "x"))
    assert workflow.execute()["a"] == "two"
