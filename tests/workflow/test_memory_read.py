"""memory_read: the values that a node reads when it starts (C26, C29)."""

from typing import Any

import pytest

from fibonacci import (
    CorruptRecordError,
    FunctionNode,
    LLMNode,
    MemoryConfig,
    MemoryKey,
    NodeExecutionError,
    Retry,
    ScopeError,
    TemplateError,
    Workflow,
    WorkflowValidationError,
)
from fibonacci.plugin import Address, Space

QUICK = Retry(attempts=3, backoff=0)

PLACES = [("user", "u"), ("workflow", None), ("organization", None), ("global", None)]


def reading(workflow: Workflow, *wanted: Any) -> None:
    """Add a node that returns its memory values."""
    workflow.add_node(FunctionNode("n", lambda ctx: dict(ctx.memory_values), memory_read=wanted))


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_key_without_a_scope_is_read_from_the_nearest(
    workflow: Workflow, execute: Any, first: int
) -> None:
    """A key without a scope is read from user, workflow, organization or global, in this order."""
    for scope, user_id in PLACES[first:]:
        workflow.memory.set("k", scope, scope=scope, user_id=user_id)
    reading(workflow, "k")
    result = execute(workflow, user_id="u")
    scope = PLACES[first][0]
    assert result["n"] == {"k": scope}
    assert result.trace["n"].read == (MemoryKey(scope, "k"),)


def test_key_without_a_scope_in_a_run_without_a_user(workflow: Workflow, execute: Any) -> None:
    """A run without a user reads the other three scopes, and no user's record."""
    workflow.memory.set("k", "private", scope="user", user_id="u")
    workflow.memory.set("k", "public", scope="global")
    reading(workflow, "k")
    assert execute(workflow)["n"] == {"k": "public"}


def test_missing_values(workflow: Workflow, execute: Any) -> None:
    """A missing value is no name for a function, empty text in a prompt, and not in the trace."""
    reading(workflow, "k")
    workflow.add_node(LLMNode("ask", "echo", "<{{memory.k}}{{memory.k.a.0}}>", memory_read=["k"]))
    result = execute(workflow, user_id="u")
    assert dict(result) == {"n": {}, "ask": "<>"}
    assert result.trace["ask"].read == ()


def test_stored_none_is_found(workflow: Workflow, execute: Any) -> None:
    """A stored None is found: neither a later scope nor a default replaces it (C9)."""
    workflow.memory.set("k", None, scope="user", user_id="u")
    workflow.memory.set("k", "farther")
    reading(workflow, "k", {"key": "k", "as": "again", "default": "other"})
    result = execute(workflow, user_id="u")
    assert result["n"] == {"k": None, "again": None}
    assert result.trace["n"].read == (MemoryKey("user", "k"),) * 2


def test_explicit_scope(workflow: Workflow, execute: Any) -> None:
    """A read with a scope uses only that scope."""
    workflow.memory.set("k", "near", scope="user", user_id="u")
    workflow.memory.set("k", "far", scope="global")
    reading(workflow, {"key": "k", "scope": "global"}, {"key": "k", "scope": "workflow", "as": "w"})
    assert execute(workflow, user_id="u")["n"] == {"k": "far"}


def test_default_replaces_a_missing_record(workflow: Workflow, execute: Any) -> None:
    """A default replaces a missing record, is a new copy each time, and is not in the trace."""
    grown = FunctionNode(
        "n",
        lambda ctx: ctx.memory_values["k"].append(1) or list(ctx.memory_values["k"]),
        memory_read=[{"key": "k", "default": [0]}],
    )
    workflow.add_node(grown)
    assert execute(workflow)["n"] == [0, 1]
    result = execute(workflow)
    assert result["n"] == [0, 1]
    assert result.trace["n"].read == ()


def test_default_of_none(workflow: Workflow, execute: Any) -> None:
    """None is a default; it is not the same as no default."""
    reading(workflow, {"key": "k", "default": None})
    assert execute(workflow)["n"] == {"k": None}


def test_as_names_the_value(workflow: Workflow, execute: Any) -> None:
    """A key that no template can write is named by "as", and has no other name."""
    workflow.memory.set("user:profile {1}", {"name": "Ada"})
    workflow.add_node(
        LLMNode(
            "n",
            "echo",
            "{{memory.profile.name}}",
            memory_read=[{"key": "user:profile {1}", "as": "profile"}],
        )
    )
    result = execute(workflow)
    assert result["n"] == "Ada"
    assert result.trace["n"].read == (MemoryKey("workflow", "user:profile {1}"),)


def test_one_request_per_node(counted: Workflow, store: Any, execute: Any) -> None:
    """A node reads all its keys in one request; a node without reads sends none."""
    reading(counted, "a", "b", {"key": "c", "scope": "global"})
    counted.add_node(LLMNode("other", "echo", "x"))
    execute(counted, user_id="u")
    assert [len(request) for request in store.reads] == [4 + 4 + 1]


def test_retries_read_memory_once(counted: Workflow, store: Any, execute: Any) -> None:
    """A node with three attempts reads its memory once."""
    turns = iter([OSError, OSError, None])

    def unsteady(ctx: Any) -> Any:
        error = next(turns)
        if error:
            raise error
        return ctx.memory_values["k"]

    counted.memory.set("k", 1)
    counted.add_node(FunctionNode("n", unsteady, memory_read=["k"], retry=QUICK))
    assert execute(counted)["n"] == 1
    assert len(store.reads) == 1


def test_corrupt_record_fails_the_node(counted: Workflow, store: Any, execute: Any) -> None:
    """A record that can't be read fails the node, and no model is called (C29)."""
    requests: list[Any] = []
    store.write(
        Address(Space("fibonacci:", "workflow", "flow"), "k"), b"secret{", None, deadline=0.0
    )
    counted.add_node(
        LLMNode(
            "n", lambda request: requests.append(request) or "", "{{memory.k}}", memory_read=["k"]
        )
    )
    with pytest.raises(NodeExecutionError, match="node 'n' failed: CorruptRecordError") as caught:
        execute(counted)
    assert isinstance(caught.value.cause, CorruptRecordError)
    assert "secret" not in str(caught.value)
    assert requests == []


def test_shadowed_corrupt_record_is_ignored(counted: Workflow, store: Any, execute: Any) -> None:
    """A corrupt record in a later scope is not decoded."""
    store.write(Address(Space("fibonacci:", "global", ""), "k"), b"{", None, deadline=0.0)
    counted.memory.set("k", "near")
    reading(counted, "k")
    assert execute(counted)["n"] == {"k": "near"}


def test_undeclared_memory_reference_is_refused(workflow: Workflow) -> None:
    """A prompt that references memory its node does not read is refused, with the fix (C26)."""
    with pytest.raises(TemplateError) as caught:
        workflow.add_node(LLMNode("chat", "echo", "{{ memory.histry.0 }}", memory_read=["history"]))
    assert str(caught.value) == (
        "the prompt of node 'chat': line 1, column 4 references memory.histry, which the node does "
        "not read: add 'histry' to its memory_read. Did you mean memory.history?"
    )
    assert (caught.value.name, caught.value.nearest) == ("memory.histry.0", "memory.history")
    with pytest.raises(TemplateError, match=r"add 'zzz' to its memory_read\.$"):
        workflow.add_node(FunctionNode("f", print, memory_write="{{memory.zzz}}"))
    with pytest.raises(TemplateError, match="references all memory: name a key"):
        workflow.add_node(LLMNode("all", "echo", "{{memory}}", memory_read=["history"]))


def test_user_scope_read_without_a_user(workflow: Workflow, execute: Any) -> None:
    """A node that reads user scope fails in a run without a user before anything runs."""
    calls: list[int] = []
    workflow.add_node(FunctionNode("first", lambda _: calls.append(1)))
    reading(workflow, {"key": "k", "scope": "user"})
    with pytest.raises(ScopeError, match=r"node 'n' reads 'k' in user scope.*pass user_id"):
        execute(workflow)
    assert calls == []


READ_FAULTS: list[tuple[Any, str]] = [
    ("history", 'memory_read must be a list of keys such as \\["history"\\]'),
    ({"key": "history"}, "memory_read must be a list"),
    (None, "memory_read must be a list"),
    ({"history"}, "memory_read must be a list"),
    ([3], "memory_read takes keys, or dicts that have a 'key'"),
    ([{"as": "x"}], "dicts that have a 'key'"),
    ([""], "memory_read: the key"),
    (["a\0"], "memory_read: the key"),
    (["k" * 1001], "memory_read: the key"),
    ([{"key": 3}], "memory_read: the key must be text"),
    ([{"key": "k", "defualt": 1}], "no field 'defualt'. Did you mean 'default'\\?"),
    ([{"key": "k", "scope": "usr"}], "unknown scope: .*Did you mean 'user'\\?"),
    ([{"key": "k", "scope": []}], "unknown scope"),
    ([{"key": "k", "as": ""}], "'as' must be non-empty text"),
    ([{"key": "k", "as": 3}], "'as' must be non-empty text"),
    ([{"key": "k", "default": {1}}], "memory_read: the default of .*k is"),
    (["k", "k"], "memory_read has the name 'k' twice"),
    (["k", {"key": "other", "as": "k"}], "memory_read has the name 'k' twice"),
]


@pytest.mark.parametrize(("form", "error"), READ_FAULTS)
def test_invalid_memory_read(form: Any, error: str) -> None:
    """An invalid memory_read is refused when the node is created."""
    with pytest.raises(WorkflowValidationError, match=error):
        LLMNode("n", "echo", "x", memory_read=form)


def test_organization_of_the_run(config: MemoryConfig, execute: Any) -> None:
    """The organization of a run replaces the workflow's (C5)."""
    workflow = Workflow("flow", config, organization_id="own")
    for organization_id in ("own", "other"):
        workflow.memory.for_organization(organization_id).set("k", organization_id)
    reading(workflow, "k")
    assert execute(workflow)["n"] == {"k": "own"}
    assert execute(workflow, organization_id="other")["n"] == {"k": "other"}
    with pytest.raises(ScopeError, match="organization id"):
        execute(workflow, organization_id="")


@pytest.mark.parametrize("user_id", ["", 3, b"u"])
def test_user_id_must_be_text(workflow: Workflow, execute: Any, user_id: Any) -> None:
    """execute() refuses a user id that is not text, or empty (C4)."""
    reading(workflow, "k")
    with pytest.raises(ScopeError, match="needs a user id"):
        execute(workflow, user_id=user_id)


def test_keys_of_digits(workflow: Workflow) -> None:
    """``{{memory.0}}`` is the key "0" if the node reads it."""
    workflow.memory.set("0", "zero")
    workflow.add_node(LLMNode("n", "echo", "{{memory.0}}", memory_read=["0"]))
    assert workflow.execute()["n"] == "zero"
