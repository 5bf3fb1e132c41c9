"""LLMNode(history=...): what the model is sent of a conversation, and the turn that is added."""

import asyncio
import time
from typing import Any

import pytest
from streams import until

from fibonacci import (
    CorruptRecordError,
    FunctionNode,
    InvalidArgumentError,
    InvalidKeyError,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    MemoryWritten,
    ModelError,
    NodeExecutionError,
    NodeFinished,
    ScopeError,
    SerializationError,
    ValueTooLargeError,
    Workflow,
    WorkflowTimeoutError,
    WrongTypeError,
    literal,
)
from fibonacci._builtin.local import LocalStore
from fibonacci.plugin import Address, Completion, ModelRequest
from fibonacci.testing import ScriptedModel

HEAD = MemoryKey("user", "chat")


def late() -> None:
    """Wait until a node's timeout of 50 ms has passed."""
    time.sleep(0.1)


class SmallStore(LocalStore):
    """A store of records of up to 2,000 bytes."""

    def check_size(self, address: Address, data: bytes) -> None:
        if len(data) > 2_000:
            raise ValueTooLargeError("the record is too large", size=len(data), limit=2_000)

    def compare_and_set(
        self, address: Address, expected: Any, data: bytes, *args: Any, **kwargs: Any
    ) -> bool:
        self.check_size(address, data)
        return super().compare_and_set(address, expected, data, *args, **kwargs)


class ClearingStore(LocalStore):
    """A store that calls a function before it reads the pages of a history."""

    before_pages: Any = None

    def read_many(self, addresses: Any, *, deadline: float) -> Any:
        if self.before_pages is not None and all("/pages/" in one.key for one in addresses):
            before, self.before_pages = self.before_pages, None
            before()
        return super().read_many(addresses, deadline=deadline)


def message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def add_node(workflow: Workflow, model: Any, history: Any = "chat", **fields: Any) -> None:
    """Add a node that continues a history."""
    fields = {"prompt": "{{input.message}}", **fields}
    workflow.add_node(LLMNode("answer", model, history=history, **fields))


def chat(workflow: Workflow, user_id: str = "ada") -> Any:
    return workflow.memory.history("chat", user_id=user_id)


def contents(request: ModelRequest) -> list[str]:
    return [sent["content"] for sent in request.messages]


def failure(execute: Any, workflow: Workflow, message: str = "Hello", **fields: Any) -> Any:
    """Return the error of a run that fails in its node."""
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, {"message": message}, user_id="ada", **fields)
    return caught.value


def test_each_run_continues_the_conversation(workflow: Workflow, execute: Any) -> None:
    """The model is sent all earlier turns, with their roles, before the prompt."""
    model = ScriptedModel("Hi, Ada", "Ada")
    add_node(workflow, model)
    execute(workflow, {"message": "I am Ada"}, user_id="ada")
    execute(workflow, {"message": "Who am I?"}, user_id="ada")
    first, second = model.requests
    assert (first.messages, first.prompt) == ((), "I am Ada")
    assert second.prompt == "Who am I?"
    assert second.messages == (message("user", "I am Ada"), message("assistant", "Hi, Ada"))
    assert [turn.messages for turn in chat(workflow).turns()] == [
        [message("user", "I am Ada"), message("assistant", "Hi, Ada")],
        [message("user", "Who am I?"), message("assistant", "Ada")],
    ]


def test_each_user_has_a_conversation(workflow: Workflow, execute: Any) -> None:
    """The history is that of the run's user."""
    model = ScriptedModel("one", "two")
    add_node(workflow, model)
    execute(workflow, {"message": "Hello"}, user_id="ada")
    execute(workflow, {"message": "Hello"}, user_id="bob")
    assert model.requests[1].messages == ()
    assert chat(workflow, "ada").count() == chat(workflow, "bob").count() == 1


def test_other_scope_needs_no_user(workflow: Workflow, execute: Any) -> None:
    """A history in another scope belongs to all runs."""
    model = ScriptedModel("one", "two")
    add_node(workflow, model, {"key": "log", "scope": "workflow"})
    execute(workflow, {"message": "first"})
    execute(workflow, {"message": "second"}, user_id="ada")
    assert contents(model.requests[1]) == ["first", "one"]


def test_run_without_a_user_is_refused(workflow: Workflow, execute: Any) -> None:
    """A run without a user is refused before a model is asked."""
    model = ScriptedModel("never")
    add_node(workflow, model)
    with pytest.raises(ScopeError, match=r"node 'answer' has the history 'chat' in user scope"):
        execute(workflow, {"message": "Hello"})
    assert model.requests == []


def test_key_may_be_a_template(workflow: Workflow, execute: Any) -> None:
    """The key of a history may use inputs, and the outputs of earlier nodes."""
    workflow.add_node(FunctionNode("topic", lambda ctx: ctx.inputs["topic"]))
    add_node(workflow, "echo", "chat:{{input.room}}:{{topic}}")
    result = execute(workflow, {"message": "Hello", "room": "a", "topic": "b"}, user_id="ada")
    assert result.trace["answer"].written == (MemoryKey("user", "chat:a:b"),)
    assert workflow.memory.history("chat:a:b", user_id="ada").count() == 1


@pytest.mark.parametrize("room", ["", "x" * 1_001, "x" * 959, f"c/pages/{'A' * 22}/{'0' * 12}"])
def test_invalid_key_is_refused_before_a_model_is_asked(
    workflow: Workflow, execute: Any, room: str
) -> None:
    """A key that is empty, too long or a page's is refused, and no model is asked."""
    model = ScriptedModel("never")
    workflow.add_node(LLMNode("first", model, "x"))
    add_node(workflow, model, "{{input.room}}")
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, {"message": "Hello", "room": room}, user_id="ada")
    assert isinstance(caught.value.cause, InvalidKeyError)
    assert model.requests == []


def test_newest_whole_turns_that_fit_are_sent(workflow: Workflow, execute: Any) -> None:
    """Without max_tokens the model is sent the newest whole turns of 3,000 tokens together."""
    model = ScriptedModel("ok")
    add_node(workflow, model)
    for number in range(10):  # 2 x 254 tokens each
        chat(workflow).add(user=f"{number}{'x' * 999}", assistant="y" * 1_000)
    execute(workflow, {"message": "Hello"}, user_id="ada")
    assert [text[0] for text in contents(model.requests[0])] == list("5y6y7y8y9y")


@pytest.mark.parametrize(
    ("limit", "sent"),
    [({"max_turns": 2}, ["2", "ok", "3", "ok"]), ({"max_tokens": 12}, ["3", "ok"])],
)
def test_limits_of_what_is_sent(
    workflow: Workflow, execute: Any, limit: Any, sent: list[str]
) -> None:
    """max_turns and max_tokens limit what the model is sent, and nothing is dropped."""
    model = ScriptedModel("ok")
    add_node(workflow, model, {"key": "chat", **limit})
    for number in range(4):
        chat(workflow).add(user=str(number), assistant="ok")
    execute(workflow, {"message": "Hello"}, user_id="ada")
    assert contents(model.requests[0]) == sent
    assert chat(workflow).count() == 5


def test_summary_is_sent_first(workflow: Workflow, execute: Any) -> None:
    """A summary of older turns is sent first, and counts in max_tokens."""
    model = ScriptedModel("ok")
    add_node(workflow, model, {"key": "chat", "max_tokens": 100})
    for number in range(4):
        chat(workflow).add(user=str(number), assistant="ok")
    chat(workflow).compact(lambda _: "They count.", keep_tokens=30)
    execute(workflow, {"message": "Hello"}, user_id="ada")
    assert contents(model.requests[0]) == [
        "Summary of the conversation so far: They count.", "1", "ok", "2", "ok", "3", "ok",
    ]  # fmt: skip


def test_head_is_read_with_other_memory(counted: Workflow, store: Any, execute: Any) -> None:
    """The head is read in the same request as memory_read, and older turns in a second one."""
    counted.memory.set("name", "Ada", "user", "ada")
    add_node(counted, "echo", {"key": "chat", "record": False}, memory_read=["name"])
    for number in range(30):  # several pages
        chat(counted).add(user=f"{number}{'x' * 300}", assistant="ok")
    store.reads.clear()
    result = execute(counted, {"message": "Hello"}, user_id="ada")
    first, *rest = [[address.key for address in request] for request in store.reads]
    assert {"name", "chat"} == set(first)
    assert len(rest) == 1
    assert all(key.startswith("chat/pages/") for key in rest[0])
    assert result.trace["answer"].read == (MemoryKey("user", "name"), HEAD)


def test_templates_do_not_see_the_history(workflow: Workflow, execute: Any) -> None:
    """A function's and a prompt's memory values are those of memory_read only."""
    chat(workflow).add(user="Hello", assistant="Hi")
    requests: list[ModelRequest] = []

    def model(request: ModelRequest) -> str:
        requests.append(request)
        return "ok"

    add_node(workflow, model, prompt="<{{memory.k}}>", memory_read=["k"])
    result = execute(workflow, user_id="ada")
    assert (result["answer"], requests[0].prompt) == ("ok", "<>")


def test_record_false_adds_nothing(workflow: Workflow, execute: Any) -> None:
    """With record=False the history is sent, and stays as it is."""
    model = ScriptedModel("")
    add_node(workflow, model, {"key": "chat", "record": False})
    chat(workflow).add(user="Hello", assistant="Hi")
    result = execute(workflow, {"message": " "}, user_id="ada")
    assert contents(model.requests[0]) == ["Hello", "Hi"]
    assert result.trace["answer"].written == ()
    assert chat(workflow).count() == 1


def test_record_says_what_stands_for_the_prompt(workflow: Workflow, execute: Any) -> None:
    """A template in record is added instead of the prompt."""
    add_node(
        workflow,
        ScriptedModel("Hi"),
        {"key": "chat", "record": "{{input.message}}"},
        prompt="Reply kindly to: {{input.message}}",
    )
    execute(workflow, {"message": "Hello"}, user_id="ada")
    assert chat(workflow).messages() == [message("user", "Hello"), message("assistant", "Hi")]


def test_json_is_recorded_as_text(workflow: Workflow, execute: Any) -> None:
    """The completion of a node with JSON output is recorded as the text that it was."""
    add_node(workflow, ScriptedModel('{"n": 1}'), output_format="json")
    assert execute(workflow, {"message": "Hello"}, user_id="ada")["answer"] == {"n": 1}
    assert chat(workflow).messages()[1] == message("assistant", '{"n": 1}')


@pytest.mark.parametrize(
    ("completion", "recorded"),
    [
        ("<think>She greets.</think>\n\nHi", "Hi"),
        (" <thinking>a</thinking><reasoning>b</reasoning> Hi", "Hi"),
        ("Hi <think>x</think>", "Hi <think>x</think>"),
        ("She greets.\n</think>\n\nHi", "Hi"),
        ("\ufeff<think>x</think>Hi", "Hi"),
        ("<think>a</think><think>b", "<think>b"),
        ("</think> Hi", "</think> Hi"),
        ("<think> is a tag.", "<think> is a tag."),
        ("Write <think>\n</think>\nor not.", "Write <think>\n</think>\nor not."),
    ],
)
def test_reasoning_is_not_recorded(
    workflow: Workflow, execute: Any, completion: str, recorded: str
) -> None:
    """Reasoning at the beginning of a completion is part of the output, and not of the turn."""
    add_node(workflow, ScriptedModel(completion))
    assert execute(workflow, {"message": "Hello"}, user_id="ada")["answer"] == completion
    assert chat(workflow).messages()[1]["content"] == recorded


CUT = Completion(text="<think>She greets, and", stop_reason="max_tokens")


@pytest.mark.parametrize("completion", ["", " \n", "<think>x</think> ", CUT])
def test_empty_answer_is_not_recorded(workflow: Workflow, execute: Any, completion: Any) -> None:
    """If a completion has no answer, the turn has what the user said, and the next run goes on."""
    model = ScriptedModel(completion, "Hi")
    add_node(workflow, model)
    execute(workflow, {"message": "Hello"}, user_id="ada")
    execute(workflow, {"message": "Hello?"}, user_id="ada")
    assert model.requests[1].messages == (message("user", "Hello"),)
    assert chat(workflow).count() == 2


@pytest.mark.parametrize(
    ("text", "error"),
    [("", InvalidArgumentError), (" ", InvalidArgumentError), ("\ud800", SerializationError)],
)
def test_message_that_no_turn_can_have(
    workflow: Workflow, execute: Any, text: str, error: type[Exception]
) -> None:
    """A prompt that can't be added to the history is refused before a model is asked."""
    model = ScriptedModel("never")
    add_node(workflow, model, prompt=literal(text))
    assert isinstance(failure(execute, workflow).cause, error)
    assert model.requests == []


def test_message_that_is_too_large_for_the_store(execute: Any) -> None:
    """A prompt that no record of the store can hold is refused before a model is asked."""
    with Workflow("flow", MemoryConfig(SmallStore())) as workflow:
        model = ScriptedModel("never")
        add_node(workflow, model)
        error = failure(execute, workflow, "x" * 2_000)
        assert isinstance(error.cause, ValueTooLargeError)
        assert error.output is None
        assert model.requests == []
        assert chat(workflow).count() == 0


def test_answer_that_is_too_large_for_the_store(execute: Any) -> None:
    """An answer that makes its turn too large fails the node, and is on the error."""
    with Workflow("flow", MemoryConfig(SmallStore())) as workflow:
        add_node(workflow, ScriptedModel("y" * 2_000))
        error = failure(execute, workflow)
        assert isinstance(error.cause, ValueTooLargeError)
        assert error.output == "y" * 2_000
        assert "yyy" not in f"{error}{error!r}"
        assert chat(workflow).count() == 0


@pytest.mark.parametrize("key", ["{{input.key}}", "{{answer}}"])
@pytest.mark.parametrize("scope", ["user", None])
def test_history_is_never_overwritten_by_its_node(
    workflow: Workflow, execute: Any, key: str, scope: Any
) -> None:
    """A memory_write whose key turns out to be the history's fails, and nothing is written."""
    chat(workflow).add(user="Hello", assistant="Hi")
    write: Any = {"key": key, "scope": scope}
    add_node(workflow, ScriptedModel("chat"), memory_write=["first", write])
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, {"message": "Hello", "key": "chat"}, user_id="ada")
    assert isinstance(caught.value.cause, InvalidKeyError)
    assert "is that of a history" in str(caught.value.cause)
    assert chat(workflow).count() == 1
    assert workflow.memory.list_keys("user", "ada") == ["chat"]


def test_history_is_never_overwritten_by_a_later_node(workflow: Workflow, execute: Any) -> None:
    """A memory_write of another node, whose key turns out to be the history's, fails, too."""
    add_node(workflow, ScriptedModel("Hi"))
    workflow.add_node(
        FunctionNode("n", lambda _: 1, dependencies=["answer"], memory_write="{{input.key}}")
    )
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, {"message": "Hello", "key": "chat"}, user_id="ada")
    assert isinstance(caught.value.cause, InvalidKeyError)
    assert chat(workflow).count() == 1


def test_turn_is_added_after_success_only(workflow: Workflow, execute: Any) -> None:
    """A node whose model fails adds no turn."""
    add_node(workflow, ScriptedModel(ModelError("busy")))
    assert failure(execute, workflow).output is None
    assert chat(workflow).count() == 0


def test_memory_is_written_before_the_turn(workflow: Workflow, execute: Any) -> None:
    """If a memory_write fails, no turn is added, and the error has the output."""
    workflow.memory.set("list", "text", "user", "ada")
    add_node(workflow, ScriptedModel("Hi"), memory_write=["k", {"key": "list", "mode": "append"}])
    error = failure(execute, workflow)
    assert isinstance(error.cause, WrongTypeError)
    assert error.output == "Hi"
    assert chat(workflow).count() == 0


def test_turn_that_can_not_be_added_is_on_the_error(workflow: Workflow, execute: Any) -> None:
    """If the turn can't be added, the node fails, and the error has the answer."""
    add_node(workflow, ScriptedModel("half a pair: \ud800"))
    error = failure(execute, workflow)
    assert isinstance(error.cause, SerializationError)
    assert error.output == "half a pair: \ud800"
    assert "half a pair" not in f"{error} {error!r}"


def test_key_with_another_value(workflow: Workflow, execute: Any) -> None:
    """A key that holds an ordinary value fails the node before a model is asked."""
    model = ScriptedModel("never")
    workflow.memory.set("chat", ["a list"], "user", "ada")
    add_node(workflow, model)
    cause = failure(execute, workflow).cause
    assert isinstance(cause, WrongTypeError)
    assert "adopt()" in str(cause)
    assert model.requests == []
    assert workflow.memory.get("chat", "user", "ada") == ["a list"]


def test_deleted_page_is_reported(workflow: Workflow, execute: Any) -> None:
    """A page that somebody deleted fails the node that needs it before a model is asked."""
    model = ScriptedModel("never")
    add_node(workflow, model)
    for number in range(30):
        chat(workflow).add(user=f"{number}{'x' * 300}", assistant="ok")
    for key in workflow.memory.list_keys("user", "ada", "chat/pages/*"):
        workflow.memory.delete(key, "user", "ada")
    cause = failure(execute, workflow).cause
    assert isinstance(cause, CorruptRecordError)
    assert "has lost its turns" in str(cause)
    assert model.requests == []


def test_history_that_is_cleared_while_it_is_read(execute: Any) -> None:
    """A history that is cleared between the head and its pages is sent as it is then: empty."""
    store, cleared = ClearingStore(), []
    with Workflow("flow", MemoryConfig(store)) as workflow:
        model = ScriptedModel("ok")
        add_node(workflow, model)
        for number in range(30):
            chat(workflow).add(user=f"{number}{'x' * 300}", assistant="ok")
        store.before_pages = lambda: cleared.append(chat(workflow).clear())
        execute(workflow, {"message": "Hello"}, user_id="ada")
        assert cleared == [True]
        assert model.requests[0].messages == ()
        assert chat(workflow).count() == 1


def test_timeout_while_the_history_is_read(execute: Any) -> None:
    """A node whose time is over while older turns are read exceeds its timeout."""
    store = ClearingStore()
    with Workflow("flow", MemoryConfig(store)) as workflow:
        add_node(workflow, ScriptedModel("never"), timeout=0.05)
        for number in range(30):
            chat(workflow).add(user=f"{number}{'x' * 300}", assistant="ok")
        store.before_pages = late
        with pytest.raises(WorkflowTimeoutError):
            execute(workflow, {"message": "Hello"}, user_id="ada")


def test_two_runs_at_once_keep_both_turns(workflow: Workflow) -> None:
    """Of two runs of one user at once, both turns are added."""
    add_node(workflow, "echo")

    async def both() -> None:
        runs = (
            workflow.aexecute({"message": text}, user_id="ada") for text in ("one", "two", "three")
        )
        await asyncio.gather(*runs)

    asyncio.run(both())
    turns = chat(workflow).turns()
    assert sorted(turn.messages[0]["content"] for turn in turns) == ["one", "three", "two"]
    assert all(turn.messages[0]["content"] == turn.messages[1]["content"] for turn in turns)


def test_later_node_continues_the_turn(workflow: Workflow, execute: Any) -> None:
    """A node that depends on another with the same history is sent the other's turn."""
    model = ScriptedModel("one", "two")
    workflow.add_node(LLMNode("first", model, "a", history="chat"))
    workflow.add_node(LLMNode("second", model, "b", history="chat", dependencies=["first"]))
    execute(workflow, user_id="ada")
    assert contents(model.requests[1]) == ["a", "one"]


def test_history_under_memory_read_is_refused(workflow: Workflow, execute: Any) -> None:
    """A node that reads a history as a value fails with the fix in the error."""
    model = ScriptedModel("never")
    chat(workflow).add(user="Hello", assistant="Hi")
    workflow.add_node(LLMNode("answer", model, "{{memory.chat}}", memory_read=["chat"]))
    cause = failure(execute, workflow).cause
    assert isinstance(cause, WrongTypeError)
    assert "LLMNode(history='chat')" in str(cause)
    assert model.requests == []


def test_shared_history_under_memory_read_is_refused(workflow: Workflow, execute: Any) -> None:
    """The fix in the error names the history's scope."""
    workflow.memory.history("chat", "workflow").add(user="Hello")
    workflow.add_node(FunctionNode("n", lambda _: 1, memory_read=["chat"]))
    fix = "LLMNode(history={'key': 'chat', 'scope': 'workflow'})"
    assert fix in str(failure(execute, workflow).cause)


def test_history_in_a_function(workflow: Workflow, execute: Any) -> None:
    """A function reads and continues the history of the run's user."""

    def work(ctx: Any) -> Any:
        ctx.memory.history("chat").add(user="one", assistant="two")
        return ctx.memory.history("chat").messages(max_turns=1)

    workflow.add_node(FunctionNode("n", work))
    assert execute(workflow, user_id="ada")["n"] == [
        message("user", "one"),
        message("assistant", "two"),
    ]


def test_events_and_trace(workflow: Workflow, stream: Any) -> None:
    """The events and the trace name the history's head as read and written."""
    add_node(workflow, ScriptedModel("Hi", "Hi"), memory_write="last")
    written = (MemoryKey("user", "last"), HEAD)
    for read in ((), (HEAD,)):
        *events, finished = stream(workflow, {"message": "Hello"}, user_id="ada")
        assert MemoryWritten("answer", written) in events
        trace = finished.result.trace["answer"]
        assert (trace.read, trace.written, trace.compaction) == (read, written, None)


def test_stream_that_is_closed_before_the_turn(workflow: Workflow, stream: Any) -> None:
    """A stream that is closed after its output was read adds no turn."""
    add_node(workflow, ScriptedModel("Hi"))
    events = stream(workflow, {"message": "Hello"}, user_id="ada")
    until(events, NodeFinished, "answer")
    events.close()
    assert chat(workflow).count() == 0


def test_turn_expires_with_the_default_ttl(execute: Any) -> None:
    """A history that a node begins expires after the memory's default_ttl."""
    config = MemoryConfig(connection_url="memory://node-histories", default_ttl=60)
    with Workflow("flow", config) as workflow:
        add_node(workflow, "echo")
        execute(workflow, {"message": "Hello"}, user_id="ada")
        left = workflow.memory.ttl("chat", "user", "ada")
        assert left is not None
        assert 50 < left <= 60
