"""memory_write: where a node's output goes, once it has succeeded (C28)."""

import math
from typing import Any

import pytest

from fibonacci import (
    NO_EXPIRY,
    FunctionNode,
    InvalidArgumentError,
    InvalidKeyError,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    MemoryWrite,
    NodeExecutionError,
    Retry,
    ScopeError,
    SerializationError,
    Workflow,
    WorkflowValidationError,
    WrongTypeError,
)

QUICK = Retry(attempts=3, backoff=0)


def writing(workflow: Workflow, output: Any, memory_write: Any, **fields: Any) -> None:
    """Add a node with this output."""
    workflow.add_node(FunctionNode("n", lambda _: output, memory_write=memory_write, **fields))


def test_a_key(workflow: Workflow, execute: Any) -> None:
    """A bare key is written to the workflow in a run without a user, and told in the trace."""
    writing(workflow, {"a": (1, 2)}, "k")
    result = execute(workflow)
    assert workflow.memory.get("k") == {"a": [1, 2]}
    assert result.trace["n"].written == (MemoryKey("workflow", "k"),)
    assert result["n"] == {"a": (1, 2)}


@pytest.mark.parametrize("title", ["x" * 1_000, "a\0b", ""])
def test_a_key_that_can_not_be_is_refused_before_a_model_is_asked(
    workflow: Workflow, execute: Any, title: str
) -> None:
    """What an input makes of a key is looked at before anything is paid for (C28)."""
    asked = []
    write = "{{input.note}}{{input.title}}"
    workflow.add_node(
        LLMNode("n", lambda _: asked.append(1) or "x", "Hi", memory_write=["{{n}}", write])
    )
    with pytest.raises(NodeExecutionError, match="InvalidKeyError: memory_write: the key"):
        execute(workflow, {"title": title, "note": "note" if title else ""})
    assert asked == []


@pytest.mark.parametrize("key", ["a\0b", "half \ud83d", "x" * 1_001])
def test_a_plain_key_that_can_not_be_is_refused_with_its_node(workflow: Workflow, key: str) -> None:
    """A key without a template is looked at when its node is added."""
    with pytest.raises(WorkflowValidationError, match="the memory_write of node 'n': the key has"):
        writing(workflow, 1, key)


def test_a_key_in_a_run_with_a_user(workflow: Workflow, execute: Any) -> None:
    """A bare key is written to the run's user, where it has one; so is a dict without a scope."""
    writing(workflow, [1], ["k", {"key": "list", "mode": "append"}, {"key": "n", "scope": None}])
    result = execute(workflow, user_id="u")
    assert workflow.memory.get_many(["k", "list", "n"]) == {}
    found = {"k": [1], "list": [[1]], "n": [1]}
    assert workflow.memory.for_user("u").get_many(["k", "list", "n"]) == found
    assert result.trace["n"].written == tuple(MemoryKey("user", key) for key in found)


def test_several(workflow: Workflow, execute: Any) -> None:
    """A list writes one output to several records, in all scopes, in its order."""
    scopes = ["user", "workflow", "organization", "global"]
    writing(workflow, 7, ["k", *({"key": "s", "scope": scope} for scope in scopes)])
    result = execute(workflow, user_id="u", organization_id="acme")
    assert [one.scope for one in result.trace["n"].written] == ["user", *scopes]
    assert workflow.memory.for_user("u").get("k") == 7
    assert workflow.memory.get("s", scope="user", user_id="u") == 7
    assert workflow.memory.for_organization("acme").get("s") == 7
    assert workflow.memory.get("s", scope="global") == 7
    assert workflow.memory.get("s", scope="organization") is None


def test_append(workflow: Workflow, execute: Any) -> None:
    """Mode append adds the output as one element, and keeps the newest max_items."""
    writing(workflow, [1], {"key": "k", "mode": "append", "max_items": 2})
    for _ in range(3):
        execute(workflow)
    assert workflow.memory.get("k") == [[1], [1]]


def test_increment(workflow: Workflow, execute: Any) -> None:
    """Mode increment adds the output to a number."""
    writing(workflow, 2, {"key": "k", "mode": "increment", "scope": "user"})
    for _ in range(3):
        execute(workflow, user_id="u")
    assert workflow.memory.get("k", scope="user", user_id="u") == 6


def test_ttl(config: MemoryConfig, execute: Any) -> None:
    """A ttl is that of the record; NO_EXPIRY goes before the memory's default (C13)."""
    import attrs

    workflow = Workflow("flow", attrs.evolve(config, default_ttl=50))
    writing(
        workflow,
        "x",
        [
            {"key": "given", "ttl": 100.5},
            {"key": "default"},
            {"key": "never", "ttl": NO_EXPIRY},
            {"key": "list", "mode": "append", "ttl": 200},
        ],
    )
    execute(workflow)
    left = {key: workflow.memory.ttl(key) or 0 for key in ("given", "default", "list")}
    assert 99 < left["given"] <= 100.5
    assert 49 < left["default"] <= 50
    assert 199 < left["list"] <= 200
    assert workflow.memory.ttl("never") == math.inf


def test_templates_in_keys(workflow: Workflow, execute: Any) -> None:
    """A key may hold templates: inputs, memory, other outputs and its own."""
    workflow.memory.set("lang", "en")
    workflow.add_node(FunctionNode("topic", lambda _: "news"))
    writing(
        workflow,
        {"id": 3},
        "{{input.day}}/{{memory.lang}}/{{topic}}/{{n.id}}/{{ '{{' }}",
        memory_read=["lang"],
    )
    result = execute(workflow, {"day": "mon"})
    assert result.trace["n"].written == (MemoryKey("workflow", "mon/en/news/3/{{"),)
    assert workflow.memory.get("mon/en/news/3/{{") == {"id": 3}


@pytest.mark.parametrize("key", ["{{input.k}}", "{{n}}"])
def test_a_key_that_comes_out_empty(workflow: Workflow, execute: Any, key: str) -> None:
    """A key that is none once it is rendered fails the node, and nothing is written."""
    writing(workflow, "", ["first", key])
    with pytest.raises(NodeExecutionError, match="InvalidKeyError") as told:
        execute(workflow, {"k": ""})
    assert isinstance(told.value.cause, InvalidKeyError)


def test_once_whatever_the_retries(counted: Workflow, store: Any, execute: Any) -> None:
    """A node that fails twice and then succeeds wrote memory once."""
    turns = iter([OSError("a"), OSError("b"), None])

    def unsteady(_: Any) -> str:
        fault = next(turns)
        if fault:
            raise fault
        return "out"

    counted.add_node(FunctionNode("n", unsteady, memory_write="k", retry=QUICK))
    result = execute(counted)
    assert [address.key for address in store.writes] == ["k"]
    assert result.trace["n"].attempts == 3


def test_nothing_where_all_attempts_fail(counted: Workflow, store: Any, execute: Any) -> None:
    """A node that never succeeds writes nothing."""

    def fail(_: Any) -> None:
        raise OSError

    counted.add_node(FunctionNode("n", fail, memory_write="k", retry=QUICK))
    with pytest.raises(NodeExecutionError):
        execute(counted)
    assert store.writes == []


def test_user_scope_without_a_user(counted: Workflow, store: Any, execute: Any) -> None:
    """A node that writes user scope in a run without a user fails before any model is asked."""
    asked: list[Any] = []
    counted.add_node(
        LLMNode("n", lambda request: asked.append(request) or "", "x", memory_write=USER_RECORD)
    )
    with pytest.raises(ScopeError, match=r"node 'n' writes 'k' in user scope.*pass user_id"):
        execute(counted)
    assert (asked, store.reads, store.writes) == ([], [], [])


USER_RECORD: MemoryWrite = {"key": "k", "scope": "user"}


@pytest.mark.parametrize(
    ("output", "mode", "fault"),
    [
        ({1, 2}, "set", SerializationError),
        (float("nan"), "append", SerializationError),
        ("1", "increment", InvalidArgumentError),
        (True, "increment", InvalidArgumentError),
    ],
)
def test_an_output_that_does_not_fit(
    counted: Workflow, store: Any, execute: Any, output: Any, mode: Any, fault: type[Exception]
) -> None:
    """An output that memory can't take fails the node; it is not asked again."""
    asked: list[int] = []
    counted.add_node(
        FunctionNode(
            "n",
            lambda _: asked.append(1) or output,
            memory_write={"key": "k", "mode": mode},
            retry=QUICK,
        )
    )
    with pytest.raises(NodeExecutionError) as told:
        execute(counted)
    assert isinstance(told.value.cause, fault)
    assert (asked, store.writes) == ([1], [])


def test_a_record_of_another_type(workflow: Workflow, execute: Any) -> None:
    """Appending to what is no list fails the node, and the record stays."""
    workflow.memory.set("k", "text")
    writing(workflow, 1, {"key": "k", "mode": "append"})
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow)
    assert isinstance(told.value.cause, WrongTypeError)
    assert workflow.memory.get("k") == "text"


WRITE_FAULTS: list[tuple[Any, str]] = [
    (3, "memory_write must be a key, a dict such as"),
    ({"k"}, "memory_write must be a key, a dict such as"),
    ("", "'key' must be non-empty text"),
    ({"key": ""}, "'key' must be non-empty text"),
    ({"key": 3}, "'key' must be non-empty text"),
    ({"scope": "user"}, "memory_write takes keys, or dicts that have a 'key'"),
    ([3], "memory_write takes keys, or dicts"),
    ({"key": "k", "tll": 3}, "no field 'tll'. Did you mean 'ttl'\\?"),
    ({"key": "k", "mode": "apend"}, "unknown mode: .*Did you mean 'append'\\?"),
    ({"key": "k", "mode": []}, "unknown mode"),
    ({"key": "k", "scope": "users"}, "unknown scope"),
    ({"key": "k", "ttl": 0}, "memory_write: .*ttl"),
    ({"key": "k", "ttl": True}, "memory_write: .*ttl"),
    ({"key": "k", "max_items": 3}, 'max_items needs mode "append"'),
    ({"key": "k", "mode": "append", "max_items": 0}, "max_items must be a whole number"),
    ({"key": "k", "mode": "append", "max_items": True}, "max_items must be a whole number"),
]


@pytest.mark.parametrize(("given", "fault"), WRITE_FAULTS)
def test_forms_that_are_none(given: Any, fault: str) -> None:
    """A memory_write that is none is refused when the node is made."""
    with pytest.raises(WorkflowValidationError, match=fault):
        LLMNode("n", "echo", "x", memory_write=given)


def test_scope_none_is_no_scope(workflow: Workflow, execute: Any) -> None:
    """A scope None is the default."""
    writing(workflow, 1, {"key": "k", "scope": None, "ttl": None, "max_items": None})
    execute(workflow)
    assert workflow.memory.get("k") == 1


def test_text_is_not_added_to_a_number() -> None:
    """A node whose output is text can't increment: that is told before a model is asked."""
    with pytest.raises(WorkflowValidationError, match='"increment" needs output_format="json"'):
        LLMNode("n", "echo", "x", memory_write={"key": "k", "mode": "increment"})


def test_no_key_is_wrong_once_the_first_is_written(workflow: Workflow, execute: Any) -> None:
    """All keys that templates make are checked before the first record is written."""
    workflow.add_node(LLMNode("n", "echo", "x", memory_write=["first", "{{input.name}}"]))
    with pytest.raises(NodeExecutionError) as told:
        execute(workflow, {"name": ""})
    assert isinstance(told.value.cause, InvalidKeyError)
    assert not workflow.memory.exists("first")
