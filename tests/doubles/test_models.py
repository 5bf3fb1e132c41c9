"""override_model() and ScriptedModel: models for tests, instead of others."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Barrier, Thread
from typing import Any

import pytest

from fibonacci import (
    BackendUnavailableError,
    InvalidArgumentError,
    LLMNode,
    ModelError,
    NodeExecutionError,
    NodeText,
    PluginNotFoundError,
    Retry,
    Workflow,
)
from fibonacci.plugin import Completion, ModelRequest, Usage
from fibonacci.testing import ScriptedModel, fresh_memory, override_model


def app(*names: str, **fields: Any) -> Workflow:
    """Return a workflow with a node for each model."""
    workflow = Workflow("app")
    for name in names:
        workflow.add_node(LLMNode(f"n{len(workflow.nodes)}", name, "{{input.q}}", **fields))
    return workflow


def in_sync(workflow: Workflow) -> Any:
    return workflow.execute({"q": "Hi"})


def in_async(workflow: Workflow) -> Any:
    return asyncio.run(workflow.aexecute({"q": "Hi"}))


def in_stream(workflow: Workflow) -> Any:
    texts = [one.text for one in workflow.stream({"q": "Hi"}) if isinstance(one, NodeText)]
    return {"n0": "".join(texts)}


@pytest.mark.parametrize("run", [in_sync, in_async, in_stream])
@pytest.mark.parametrize("name", ["nobody:installed", "nobody:*", "*"])
def test_a_provider_that_is_not_installed(run: Callable[[Workflow], Any], name: str) -> None:
    """The script replaces a model whose provider is not installed, and records its requests."""
    workflow = app("nobody:installed", temperature=0.5, stop=["END"])
    with override_model(name, ScriptedModel("Hello, END and so on")) as model:
        assert run(workflow)["n0"] == "Hello, "
    assert [request.prompt for request in model.requests] == ["Hi"]


def test_before_during_and_after() -> None:
    """A workflow that has run before is overridden too, and restored afterwards."""
    workflow = app("echo")
    assert in_sync(workflow)["n0"] == "Hi"
    with suppress(KeyError), override_model("echo", ScriptedModel("one", "two")):
        assert in_sync(workflow)["n0"] == "one"
        assert in_sync(workflow)["n0"] == "two"
        raise KeyError
    assert in_sync(workflow)["n0"] == "Hi"


def test_override_is_not_cached() -> None:
    """A workflow that was created and run in the block does not keep the override."""
    workflow = app("nobody:installed")
    with override_model("nobody:*", ScriptedModel("one")):
        in_sync(workflow)
    with pytest.raises(PluginNotFoundError):
        in_sync(workflow)


def test_several_overrides() -> None:
    """The newest override is used, and each ends by itself, in any order."""
    workflow = app("a:1", "b:2", 'scripted:["as ever"]')
    first, second = override_model("*:*", lambda _: "first"), override_model("b:2", "echo")
    first.__enter__()
    with override_model('scripted:["as ever"]', ScriptedModel("exactly")):
        second.__enter__()
        assert dict(in_sync(workflow)) == {"n0": "first", "n1": "Hi", "n2": "exactly"}
        second.__exit__(None, None, None)
        assert in_sync(app("b:2"))["n0"] == "first"
    first.__exit__(None, None, None)
    assert in_sync(app('scripted:["as ever"]'))["n0"] == "as ever"


def test_other_threads() -> None:
    """An override applies to the whole process, as an app may run workflows in any thread."""
    workflow, answers = app("nobody:installed"), []
    with override_model("nobody:installed", lambda _: "Hello"):
        thread = Thread(target=lambda: answers.append(in_sync(workflow)["n0"]))
        thread.start()
        thread.join()
    assert answers == ["Hello"]


def test_threads_at_once() -> None:
    """Many threads use each completion of a script once, and many overrides leave none behind."""
    script, barrier = ScriptedModel(*map(str, range(80))), Barrier(8)
    answers: list[str] = []

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(10):
            with override_model(f"own:{number}", script):
                answers.append(in_sync(app(f"own:{number}"))["n0"])

    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=int) == list(script.completions)
    with pytest.raises(PluginNotFoundError):
        in_sync(app("own:1"))


def test_items_of_a_script() -> None:
    """An exception is raised, a Completion is returned unchanged; then the script is over."""
    whole = Completion(text="Hello", usage=Usage(input_tokens=3, output_tokens=1))
    script = ScriptedModel(ModelError("busy", retryable=True), whole)
    with override_model("claude-*", script):
        workflow = app("claude-sonnet-5-5", retry=Retry(attempts=2, backoff=0))
        result = in_sync(workflow)
        assert (result["n0"], result.usage.input_tokens) == ("Hello", 3)
        with pytest.raises(NodeExecutionError, match="2 completions, and got one more request"):
            in_sync(workflow)
        assert len(script.requests) == 3


def test_an_error_of_a_script() -> None:
    """An error of a script is the cause of the node's failure."""
    script = ScriptedModel(BackendUnavailableError("away"))
    with override_model("x:y", script), pytest.raises(NodeExecutionError) as raised:
        in_sync(app("x:y"))
    assert isinstance(raised.value.cause, BackendUnavailableError)


def test_script_records_a_history() -> None:
    """A script's requests hold the messages that were sent, and its completions depend on none."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "tool", "content": [{"type": "x"}]}]
    script, request = ScriptedModel("Hello"), ModelRequest(messages=messages, prompt="And now?")
    assert script.complete(request).text == "Hello"
    assert [recorded.messages for recorded in script.requests] == [tuple(messages)]


@pytest.mark.parametrize("made", [fresh_memory, lambda: override_model("x", "echo")])
def test_decorators_are_refused(made: Any) -> None:
    """fresh_memory() and override_model() are no decorators: an async test would outlast them."""
    with pytest.raises(TypeError, match="not callable"):

        @made()
        async def test() -> None: ...


@pytest.mark.parametrize(("name", "model"), [
    ("", ScriptedModel()), (None, ScriptedModel()), (3, "echo"),
    ("claude-*", 3), ("claude-*", None), ("claude-*", ScriptedModel), ("claude-*", ["Hello"]),
])  # fmt: skip
def test_invalid_override(name: Any, model: Any) -> None:
    """An invalid name, and an object that can't be a model, are refused at once."""
    with pytest.raises(InvalidArgumentError), override_model(name, model):
        pass  # pragma: no cover


@pytest.mark.parametrize("answer", [["Hello", "Bye"], None, KeyError, {"a": 1}, b"Hello"])
def test_invalid_completion(answer: Any) -> None:
    """A completion that is neither text, Completion nor exception is refused, by its type."""
    with pytest.raises(InvalidArgumentError, match="as arguments, such as") as raised:
        ScriptedModel("Hello", answer)
    assert "Bye" not in str(raised.value).partition("; one")[2]


def test_models_without_a_name() -> None:
    """A function or a Model object of a node is not overridden."""
    workflow = Workflow("app")

    def own(request: ModelRequest) -> str:
        return request.prompt.upper()

    workflow.add_node(LLMNode("n0", own, "{{input.q}}"))
    with override_model("*", ScriptedModel()):
        assert in_sync(workflow)["n0"] == "HI"
