"""memory_write: the records that a node writes after it has succeeded (C28)."""

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


def test_key_without_a_user(workflow: Workflow, execute: Any) -> None:
    """In a run without a user, a key without a scope is written to the workflow, and traced."""
    writing(workflow, {"a": (1, 2)}, "k")
    result = execute(workflow)
    assert workflow.memory.get("k") == {"a": [1, 2]}
    assert result.trace["n"].written == (MemoryKey("workflow", "k"),)
    assert result["n"] == {"a": (1, 2)}


@pytest.mark.parametrize("title", ["x" * 1_000, "a\0b", ""])
def test_invalid_key_is_refused_before_the_model_is_called(
    workflow: Workflow, execute: Any, title: str
) -> None:
    """An invalid key from an input is an error before a model is paid (C28)."""
    requests = []
    write = "{{input.note}}{{input.title}}"
    workflow.add_node(
        LLMNode("n", lambda _: requests.append(1) or "x", "Hi", memory_write=["{{n}}", write])
    )
    with pytest.raises(NodeExecutionError, match="InvalidKeyError: memory_write: the key"):
        execute(workflow, {"title": title, "note": "note" if title else ""})
    assert requests == []


@pytest.mark.parametrize("key", ["a\0b", "half \ud83d", "x" * 1_001])
def test_invalid_literal_key_is_refused_by_add_node(workflow: Workflow, key: str) -> None:
    """add_node() refuses an invalid key that has no template."""
    with pytest.raises(WorkflowValidationError, match="the memory_write of node 'n': the key has"):
        writing(workflow, 1, key)


def test_key_with_a_user(workflow: Workflow, execute: Any) -> None:
    """A key or a dict without a scope is written to the run's user if it has one."""
    writing(workflow, [1], ["k", {"key": "list", "mode": "append"}, {"key": "n", "scope": None}])
    result = execute(workflow, user_id="u")
    assert workflow.memory.get_many(["k", "list", "n"]) == {}
    found = {"k": [1], "list": [[1]], "n": [1]}
    assert workflow.memory.for_user("u").get_many(["k", "list", "n"]) == found
    assert result.trace["n"].written == tuple(MemoryKey("user", key) for key in found)


def test_several_records(workflow: Workflow, execute: Any) -> None:
    """A list writes one output to several records, in all scopes, in its order."""
    scopes = ["user", "workflow", "organization", "global"]
    writing(workflow, 7, ["k", *({"key": "s", "scope": scope} for scope in scopes)])
    result = execute(workflow, user_id="u", organization_id="acme")
    assert [record.scope for record in result.trace["n"].written] == ["user", *scopes]
    assert workflow.memory.for_user("u").get("k") == 7
    assert workflow.memory.get("s", scope="user", user_id="u") == 7
    assert workflow.memory.for_organization("acme").get("s") == 7
    assert workflow.memory.get("s", scope="global") == 7
    assert workflow.memory.get("s", scope="organization") is None


def test_append(workflow: Workflow, execute: Any) -> None:
    """Mode append adds the output as one element, and the newest max_items stay."""
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
    """The ttl of a write applies to its record; NO_EXPIRY overrides the memory's default (C13)."""
    import attrs

    workflow = Workflow("flow", attrs.evolve(config, default_ttl=50))
    writing(
        workflow,
        "x",
        [
            {"key": "own", "ttl": 100.5},
            {"key": "default"},
            {"key": "never", "ttl": NO_EXPIRY},
            {"key": "list", "mode": "append", "ttl": 200},
        ],
    )
    execute(workflow)
    left = {key: workflow.memory.ttl(key) or 0 for key in ("own", "default", "list")}
    assert 99 < left["own"] <= 100.5
    assert 49 < left["default"] <= 50
    assert 199 < left["list"] <= 200
    assert workflow.memory.ttl("never") == math.inf


def test_templates_in_keys(workflow: Workflow, execute: Any) -> None:
    """A key may use inputs, memory, other outputs and the node's own."""
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
def test_empty_rendered_key_fails_the_node(workflow: Workflow, execute: Any, key: str) -> None:
    """A key that renders to nothing fails the node, and nothing is written."""
    writing(workflow, "", ["first", key])
    with pytest.raises(NodeExecutionError, match="InvalidKeyError") as caught:
        execute(workflow, {"k": ""})
    assert isinstance(caught.value.cause, InvalidKeyError)


def test_retries_write_once(counted: Workflow, store: Any, execute: Any) -> None:
    """A node that fails twice and then succeeds writes memory once."""
    turns = iter([OSError("a"), OSError("b"), None])

    def unsteady(_: Any) -> str:
        error = next(turns)
        if error:
            raise error
        return "out"

    counted.add_node(FunctionNode("n", unsteady, memory_write="k", retry=QUICK))
    result = execute(counted)
    assert [address.key for address in store.writes] == ["k"]
    assert result.trace["n"].attempts == 3


def test_failed_node_writes_nothing(counted: Workflow, store: Any, execute: Any) -> None:
    """A node whose attempts all fail writes nothing."""

    def fail(_: Any) -> None:
        raise OSError

    counted.add_node(FunctionNode("n", fail, memory_write="k", retry=QUICK))
    with pytest.raises(NodeExecutionError):
        execute(counted)
    assert store.writes == []


def test_user_scope_write_without_a_user(counted: Workflow, store: Any, execute: Any) -> None:
    """A node that writes user scope fails in a run without a user before any model is called."""
    requests: list[Any] = []
    counted.add_node(
        LLMNode("n", lambda request: requests.append(request) or "", "x", memory_write=USER_RECORD)
    )
    with pytest.raises(ScopeError, match=r"node 'n' writes 'k' in user scope.*pass user_id"):
        execute(counted)
    assert (requests, store.reads, store.writes) == ([], [], [])


USER_RECORD: MemoryWrite = {"key": "k", "scope": "user"}


@pytest.mark.parametrize(
    ("output", "mode", "error"),
    [
        ({1, 2}, "set", SerializationError),
        (float("nan"), "append", SerializationError),
        ("1", "increment", InvalidArgumentError),
        (True, "increment", InvalidArgumentError),
    ],
)
def test_unserializable_output_fails_the_node(
    counted: Workflow, store: Any, execute: Any, output: Any, mode: Any, error: type[Exception]
) -> None:
    """An output that memory can't store fails the node, which is not retried."""
    calls: list[int] = []
    counted.add_node(
        FunctionNode(
            "n",
            lambda _: calls.append(1) or output,
            memory_write={"key": "k", "mode": mode},
            retry=QUICK,
        )
    )
    with pytest.raises(NodeExecutionError) as caught:
        execute(counted)
    assert isinstance(caught.value.cause, error)
    assert (calls, store.writes) == ([1], [])


def test_append_to_another_type(workflow: Workflow, execute: Any) -> None:
    """Appending to a value that is not a list fails the node, and the record stays."""
    workflow.memory.set("k", "text")
    writing(workflow, 1, {"key": "k", "mode": "append"})
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, WrongTypeError)
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


@pytest.mark.parametrize(("form", "error"), WRITE_FAULTS)
def test_invalid_memory_write(form: Any, error: str) -> None:
    """An invalid memory_write is refused when the node is created."""
    with pytest.raises(WorkflowValidationError, match=error):
        LLMNode("n", "echo", "x", memory_write=form)


def test_scope_none_is_the_default(workflow: Workflow, execute: Any) -> None:
    """A scope None is the default."""
    writing(workflow, 1, {"key": "k", "scope": None, "ttl": None, "max_items": None})
    execute(workflow)
    assert workflow.memory.get("k") == 1


def test_increment_needs_json() -> None:
    """A node whose output is text can't increment: LLMNode refuses it."""
    with pytest.raises(WorkflowValidationError, match='"increment" needs output_format="json"'):
        LLMNode("n", "echo", "x", memory_write={"key": "k", "mode": "increment"})


def test_all_keys_are_checked_before_the_first_write(workflow: Workflow, execute: Any) -> None:
    """All rendered keys are checked before the first record is written."""
    workflow.add_node(LLMNode("n", "echo", "x", memory_write=["first", "{{input.name}}"]))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, {"name": ""})
    assert isinstance(caught.value.cause, InvalidKeyError)
    assert not workflow.memory.exists("first")
