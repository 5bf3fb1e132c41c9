"""Finding a model: by provider, by claimed prefix, offline models, and Model objects."""

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
    """A plugin of models that records the names it is called with."""

    FIBONACCI_SPEC_VERSION = 1

    def __init__(self, label: str) -> None:
        self.label = label
        self.models: list[str] = []

    @hookimpl
    def fibonacci_model(self, settings: ModelSettings) -> Model:
        self.models.append(settings.model)
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
    ("name", "model_name"),
    [("parrot", "parrot"), ("parrot:grey", "grey"), ("parrot:a:b", "a:b"), ("parrot:", "parrot:")],
)
def test_provider_prefix(parrot: Provider, name: str, model_name: str) -> None:
    """``provider:model`` sends the part after the colon to the provider."""
    assert answer(name) == f"parrot({model_name})"


def test_claimed_prefix() -> None:
    """A plugin whose name ends in "-" claims all models with that prefix; the longest wins."""
    short, long = Provider("short"), Provider("long")
    with (
        register_plugin("models", "claude-", short),
        register_plugin("models", "claude-opus-", long),
    ):
        assert answer("claude-haiku-4") == "short(claude-haiku-4)"
        assert answer("claude-opus-4") == "long(claude-opus-4)"
        assert answer("claude-opus-4:latest") == "long(claude-opus-4:latest)"


def test_provider_precedes_a_claimed_prefix() -> None:
    """A named provider is used even if a plugin claims a prefix of its name."""
    with (
        register_plugin("models", "claude-", Provider("claim")),
        register_plugin("models", "claude-local", Provider("own")),
    ):
        assert answer("claude-local:x") == "own(x)"


def installed() -> str:
    """The plugins of this environment, as errors list them."""
    return ", ".join(sorted(info.name for info in plugins() if info.kind == "models"))


MISSING = [
    ("anthropc:x", "unknown model provider 'anthropc'. Did you mean 'anthropic'?"),
    ("zzz", f"unknown model provider 'zzz'. Installed: {installed()}."),
]


@pytest.mark.parametrize(("name", "text"), MISSING)
def test_missing_provider(counted: Workflow, store: Any, name: str, text: str) -> None:
    """A missing provider is an error before anything runs or is read."""
    ran: list[int] = []
    counted.add_node(FunctionNode("first", lambda _: ran.append(1)))
    counted.add_node(LLMNode("n", name, "{{memory.k}}", memory_read=["k"]))
    for verb in (counted.validate, counted.execute):
        with pytest.raises(PluginNotFoundError) as caught:
            verb()
        assert str(caught.value) == text
    assert (ran, store.reads) == ([], [])


def test_provider_is_called_once_per_name(workflow: Workflow, parrot: Provider) -> None:
    """A workflow calls a provider once per name, however many nodes and runs there are."""
    for node_id in ("a", "b"):
        workflow.add_node(LLMNode(node_id, "parrot:grey", "x"))
    workflow.execute()
    asyncio.run(workflow.aexecute())
    assert parrot.models == ["grey"]


def test_provider_must_return_a_model() -> None:
    """The error of a provider that returns no Model names the provider."""

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


def test_model_gets_the_whole_request(workflow: Workflow, execute: Any) -> None:
    """A Model gets all that its node specifies."""
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


def test_request_defaults(workflow: Workflow, execute: Any) -> None:
    """A request has no value for what its node does not specify."""
    seen: list[ModelRequest] = []
    workflow.add_node(LLMNode("n", lambda request: seen.append(request) or "", "x"))
    execute(workflow)
    assert seen == [ModelRequest(prompt="x")]


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"stop": ["END"]}])
def test_unsupported_options_are_refused(fields: dict[str, Any]) -> None:
    """An option that a model does not support is refused before anything runs."""
    name = next(iter(fields))
    with pytest.raises(
        WorkflowValidationError, match=f"node 'n': its model does not support {name}: leave it out"
    ):
        answer(Named("parrot"), **fields)


@pytest.mark.parametrize("name", ["echo", 'scripted:["hello"]'])
def test_offline_models_support_all_options(name: str) -> None:
    """An offline model supports all options, so that it can replace any other."""
    assert answer(name, temperature=0.7, stop=["END"]) == "hello"


@pytest.mark.parametrize("name", ["echo", 'scripted:["hello"]'])
def test_offline_models_stop(name: str) -> None:
    """An offline model's text ends before the first text of ``stop``, in whatever order."""
    assert answer(name, stop=["lo", "never", "l"]) == "he"
    assert answer(name, stop=["h"]) == ""


def test_all_unsupported_options_are_reported(workflow: Workflow) -> None:
    """One error reports the unsupported options of all nodes."""
    workflow.add_node(LLMNode("a", Named("a"), "x", temperature=1, stop=["x"]))
    workflow.add_node(LLMNode("b", Named("b"), "x", temperature=1))
    with pytest.raises(WorkflowValidationError) as caught:
        workflow.validate()
    assert str(caught.value).count("leave it out") == 3


def test_echo() -> None:
    """The model ``echo`` returns the prompt; it has no other name."""
    assert answer("echo") == "hello"
    with pytest.raises(ConfigurationError, match="there is one echo, and it is named 'echo'"):
        answer("echo:loud")


def test_scripted(workflow: Workflow, execute: Any) -> None:
    """The model ``scripted`` returns texts of a list over all nodes and runs, then a ModelError."""
    workflow.add_node(LLMNode("a", 'scripted:["one", "two", "three"]', "x"))
    workflow.add_node(LLMNode("b", 'scripted:["one", "two", "three"]', "{{a}}"))
    assert execute(workflow) == {"a": "one", "b": "two"}
    with pytest.raises(NodeExecutionError, match="ModelError: the script has 3 completions"):
        execute(workflow)


@pytest.mark.parametrize("script", ["", ":", ":hello", ':{"a": 1}', ":[1]", ':["a"', ':"a"'])
def test_script_must_be_a_json_list(script: str) -> None:
    """A script that is not a JSON list of texts is refused."""
    with pytest.raises(ConfigurationError, match="takes its completions as a JSON list of texts"):
        answer(f"scripted{script}")


def test_empty_script_fails_the_first_request() -> None:
    """An empty script fails the first request."""
    with pytest.raises(NodeExecutionError, match="the script has 0 completions"):
        answer("scripted:[]")


def test_added_nodes_keep_the_models(workflow: Workflow) -> None:
    """A provider is called once per name and workflow, also if nodes are added: scripts go on."""
    workflow.add_node(LLMNode("a", 'scripted:["one", "two"]', "x"))
    workflow.execute()
    workflow.add_node(LLMNode("b", "echo", "x"))
    assert workflow.execute()["a"] == "two"
