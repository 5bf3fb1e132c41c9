"""NodeContext: the argument of a FunctionNode's function."""

import asyncio
from typing import Any

import pytest

from fibonacci import FunctionNode, MemoryConfig, NodeExecutionError, ScopeError, Workflow


def test_contents_of_a_context(config: MemoryConfig, execute: Any) -> None:
    """ctx has inputs, memory values, outputs of dependencies, user and organization."""
    workflow = Workflow("flow", config, organization_id="acme")
    workflow.memory.set("k", "v")
    workflow.add_node(FunctionNode("a", lambda _: "A"))
    workflow.add_node(FunctionNode("b", lambda _: "B"))
    workflow.add_node(
        FunctionNode(
            "n",
            lambda ctx: (
                dict(ctx.inputs), dict(ctx.results), dict(ctx.memory_values),
                ctx.user_id, ctx.organization_id,
            ),
            dependencies=["a"],
            memory_read=["k"],
        )
    )  # fmt: skip
    assert execute(workflow, {"x": 1}, "u")["n"] == ({"x": 1}, {"a": "A"}, {"k": "v"}, "u", "acme")
    assert execute(workflow, organization_id="other")["n"][3:] == (None, "other")


UNDECLARED = [
    ("far", r"node 'n' reads the result of 'far': add dependencies=\['a', 'far'\]$"),
    ("n", r"of 'n', but there is no such node before it.$"),
    ("fat", r"of 'fat', but there is no such node before it. Did you mean 'far'\?"),
    (0, r"of 0, but there is no such node before it.$"),
]


@pytest.mark.parametrize(("node_id", "message"), UNDECLARED)
def test_undeclared_result_error_names_the_fix(
    workflow: Workflow, execute: Any, node_id: Any, message: str
) -> None:
    """The error for a result of an undeclared dependency says which dependencies to declare."""
    workflow.add_node(FunctionNode("far", lambda _: 1))
    workflow.add_node(FunctionNode("a", lambda _: 2))
    workflow.add_node(
        FunctionNode("n", lambda ctx: ctx.results[node_id], dependencies=["a"], retry=2)
    )
    with pytest.raises(NodeExecutionError, match=message) as caught:
        execute(workflow)
    assert isinstance(caught.value.cause, KeyError)


def test_results_support_in_and_get(workflow: Workflow, execute: Any) -> None:
    """ctx.results supports `in`, and get() with a default."""
    workflow.add_node(
        FunctionNode("n", lambda ctx: (ctx.results.get("x", 7), "x" in ctx.results, repr(ctx)))
    )
    assert execute(workflow)["n"][:2] == (7, False)


@pytest.mark.parametrize("part", ["inputs", "results", "memory_values"])
def test_context_is_read_only(workflow: Workflow, execute: Any, part: str) -> None:
    """A function can't change what other nodes see through ctx."""

    def change(ctx: Any) -> None:
        getattr(ctx, part)["new"] = 1

    workflow.add_node(FunctionNode("n", change))
    with pytest.raises(NodeExecutionError, match="TypeError"):
        execute(workflow)


def test_inputs_are_a_copy(workflow: Workflow) -> None:
    """A caller that changes its dict of inputs during the run does not change the nodes' inputs."""
    inputs = {"x": 1}
    workflow.add_node(FunctionNode("a", lambda _: inputs.update(x=2)))
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.inputs["x"], dependencies=["a"]))
    assert workflow.execute(inputs)["n"] == 1


def test_memory_is_bound_to_the_run(workflow: Workflow, execute: Any) -> None:
    """ctx.memory has all four scopes; the user scope is that of the run's own user."""

    def use(ctx: Any) -> list[Any]:
        ctx.memory.set("k", "mine", scope="user")
        ctx.memory.set("w", 1, scope="workflow")
        ctx.memory.append("o", 2, scope="organization")
        ctx.memory.increment("g", scope="global")
        again = ctx.memory.get("k", scope="user", user_id=ctx.user_id)
        return [again, repr(ctx.memory), ctx.memory is ctx.memory]

    workflow.add_node(FunctionNode("n", use))
    result = execute(workflow, user_id="u", organization_id="acme")
    assert result["n"] == ["mine", "<RunMemory of user 'u'>", True]
    assert workflow.memory.for_user("u").get("k") == "mine"
    assert workflow.memory.get("w") == workflow.memory.get("g", scope="global") == 1
    assert workflow.memory.for_organization("acme").get("o") == [2]


def use_all(memory: Any, as_written: Any) -> None:
    """Use every verb of single records, and of several, without a scope."""
    memory.set("k", 1)
    memory.increment("k")
    memory.append("list", "a")
    memory.set_many({"b": 1, "c": 2})
    memory.update("b", lambda found: found + 1)
    as_written(memory.get("k"), memory.get_many(["b", "c"]), memory.exists("list"))
    memory.touch("k", 50)
    memory.delete("b")


@pytest.mark.parametrize("user_id", ["u", None])
def test_default_scope_of_memory_calls(
    workflow: Workflow, execute: Any, user_id: str | None
) -> None:
    """A call of ctx.memory without a scope uses the run's user, else the workflow."""
    seen: list[Any] = []
    workflow.add_node(
        FunctionNode("n", lambda ctx: use_all(ctx.memory, lambda *found: seen.append(found)))
    )
    execute(workflow, user_id=user_id)
    memory = workflow.memory.for_user(user_id) if user_id else workflow.memory
    assert seen == [(2, {"b": 2, "c": 2}, True)]
    assert memory.list_keys() == ["c", "k", "list"]
    assert workflow.memory.list_keys() == ([] if user_id else ["c", "k", "list"])
    assert (memory.ttl("k") or 0) <= 50


def test_own_user_id_without_a_scope(workflow: Workflow, execute: Any) -> None:
    """ctx.memory accepts the run's own user id without a scope, and refuses another one."""
    workflow.add_node(FunctionNode("n", lambda ctx: ctx.memory.set("k", 1, user_id=ctx.user_id)))
    execute(workflow, user_id="u")
    assert workflow.memory.for_user("u").get("k") == 1
    workflow.add_node(FunctionNode("bad", lambda ctx: ctx.memory.set("k", 2, user_id="other")))
    with pytest.raises(NodeExecutionError, match="another user_id was passed"):
        execute(workflow, user_id="u")


async def listed(ctx: Any) -> list[str]:
    return [key async for key in ctx.memory.aiter_keys()]


@pytest.mark.parametrize(
    "use",
    [
        lambda ctx: ctx.memory.clear(),
        lambda ctx: ctx.memory.list_keys(),
        lambda ctx: list(ctx.memory.iter_keys()),
        lambda ctx: asyncio.run(ctx.memory.aclear()),
        lambda ctx: asyncio.run(ctx.memory.alist_keys()),
        lambda ctx: asyncio.run(listed(ctx)),
    ],
)
def test_scope_is_required_for_all_records(workflow: Workflow, use: Any) -> None:
    """In a run with a user, calls that take all records of a scope must name it."""
    user = workflow.memory.for_user("u")
    for memory in (user, workflow.memory):
        memory.set("k", 1)
    text = refused(workflow, Workflow.execute, use, "u")
    assert 'the run has a user: name the scope, scope="user" for the' in text
    assert user.get("k") == workflow.memory.get("k") == 1


def test_all_records_of_a_named_scope(workflow: Workflow, execute: Any) -> None:
    """A call for all records uses the scope it names; without a user, workflow by default."""
    workflow.memory.set("shared", 1)
    workflow.memory.for_user("u").set("own", 1)
    workflow.add_node(
        FunctionNode(
            "n", lambda ctx: [ctx.memory.list_keys(scope) for scope in ctx.inputs["scopes"]]
        )
    )
    found = execute(workflow, {"scopes": ["user", "workflow"]}, "u")
    assert found["n"] == [["own"], ["shared"]]
    workflow.add_node(
        FunctionNode("all", lambda ctx: [*ctx.memory.list_keys(), ctx.memory.clear()])
    )
    assert execute(workflow, {"scopes": []})["all"] == ["shared", True]
    assert workflow.memory.list_keys() == []


def test_memory_in_an_async_function(workflow: Workflow) -> None:
    """An async function awaits the same memory."""

    async def use(ctx: Any) -> Any:
        await ctx.memory.aset("k", 1, scope="user")
        return await ctx.memory.aget("k", scope="user")

    workflow.add_node(FunctionNode("n", use))
    assert asyncio.run(workflow.aexecute(user_id="u")) == {"n": 1}


def refused(workflow: Workflow, execute: Any, use: Any, user_id: str | None) -> str:
    """Return the error of ctx.memory for this call."""
    workflow.add_node(FunctionNode("n", use))
    with pytest.raises(NodeExecutionError) as caught:
        execute(workflow, user_id=user_id)
    assert isinstance(caught.value.cause, ScopeError)
    return str(caught.value.cause)


def test_another_users_id_is_refused(workflow: Workflow, execute: Any) -> None:
    """ctx.memory refuses the id of another user."""
    text = refused(
        workflow, execute, lambda ctx: ctx.memory.get("k", scope="user", user_id="other"), "u"
    )
    assert "bound to one run, and another user_id was passed" in text


def test_user_id_with_a_shared_scope_is_refused(workflow: Workflow, execute: Any) -> None:
    """ctx.memory refuses a user id with a shared scope (C4)."""
    refused(workflow, execute, lambda ctx: ctx.memory.get("k", "workflow", "u"), "u")


def test_user_scope_without_a_user_is_refused(workflow: Workflow, execute: Any) -> None:
    """ctx.memory refuses user scope in a run without a user (C4)."""
    text = refused(workflow, execute, lambda ctx: ctx.memory.get("k", scope="user"), None)
    assert "this run has none: execute(..., user_id=...)" in text


def test_unknown_scope_is_refused(workflow: Workflow, execute: Any) -> None:
    """ctx.memory refuses an unknown scope."""
    text = refused(workflow, execute, lambda ctx: ctx.memory.get("k", scope="usr"), "u")
    assert "unknown scope 'usr'" in text


def test_repr_shows_no_values(workflow: Workflow, execute: Any) -> None:
    """The repr of ctx shows the user and the organization, and no value (C23)."""
    workflow.memory.set("k", "secret")
    workflow.add_node(FunctionNode("a", lambda _: "secret"))
    workflow.add_node(FunctionNode("n", repr, dependencies=["a"], memory_read=["k"]))
    text = execute(workflow, {"x": "secret"}, "u")["n"]
    assert "secret" not in text
    assert "user_id='u'" in text
    workflow.add_node(FunctionNode("nobody", lambda ctx: repr(ctx.memory)))
    assert execute(workflow)["nobody"] == "<RunMemory of user None>"


def test_output_is_the_returned_object(workflow: Workflow, execute: Any) -> None:
    """The output is the very object that the function returned, None included."""
    returned = object()
    workflow.add_node(FunctionNode("n", lambda _: returned))
    workflow.add_node(FunctionNode("none", lambda _: None))
    result = execute(workflow)
    assert result["n"] is returned
    assert result["none"] is None
