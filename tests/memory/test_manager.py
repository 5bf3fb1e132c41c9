"""A workflow's memory: who owns which records, and what its operations return."""

import asyncio
import gc
import weakref

import pytest

import fibonacci
from fibonacci import (
    InvalidKeyError,
    MemoryConfig,
    MemoryManager,
    MemoryView,
    ScopeError,
    StorageError,
    Workflow,
)


def test_basic_operations_return_as_documented(memory: MemoryManager) -> None:
    """set, exists, get, list_keys, delete and clear return what the reference says (C14)."""
    assert memory.set("k", {"a": 1}) is True
    assert memory.exists("k") is True
    assert memory.get("k") == {"a": 1}
    assert memory.list_keys() == ["k"]
    assert memory.delete("k") is True
    assert memory.delete("k") is False
    assert memory.exists("k") is False
    assert memory.clear() is True


def test_default_is_returned_as_it_is(memory: MemoryManager) -> None:
    """get() of an absent record returns the very object that was passed as default."""
    default: list[int] = []
    assert memory.get("absent", default=default) is default
    assert memory.get("absent") is None


def test_none_is_a_value(memory: MemoryManager) -> None:
    """get() of a stored None returns None, not the default (C9)."""
    memory.set("k", None)
    assert memory.get("k", default="absent") is None
    assert memory.exists("k")


def test_four_scopes_are_separate(config: MemoryConfig) -> None:
    """One key in four scopes is four records."""
    memory = Workflow("flow", config).memory
    for scope in ("workflow", "organization", "global"):
        memory.set("k", scope, scope=scope)
    memory.set("k", "user", scope="user", user_id="u")
    for scope in ("workflow", "organization", "global"):
        assert memory.get("k", scope=scope) == scope
    assert memory.get("k", scope="user", user_id="u") == "user"


def test_workflows_share_all_scopes_but_their_own(config: MemoryConfig) -> None:
    """Workflows share user, organization and global records, but not their own."""
    one, other = Workflow("one", config).memory, Workflow("other", config).memory
    one.set("k", 1)
    one.set("k", 2, scope="user", user_id="u")
    one.set("k", 3, scope="organization")
    one.set("k", 4, scope="global")
    assert other.get("k") is None
    assert other.get("k", scope="user", user_id="u") == 2
    assert other.get("k", scope="organization") == 3
    assert other.get("k", scope="global") == 4


def test_workflows_of_the_same_name_share_their_scope(config: MemoryConfig) -> None:
    """Two workflows of the same name share their workflow scope."""
    Workflow("flow", config).memory.set("k", 1)
    assert Workflow("flow", config).memory.get("k") == 1


def test_organizations_are_separate(config: MemoryConfig) -> None:
    """Each organization has its own records, wherever it is set (C5)."""
    acme = Workflow("flow", config, organization_id="acme").memory
    acme.set("k", "acme's", scope="organization")
    default = Workflow("flow", config).memory
    assert default.get("k", scope="organization") is None
    assert default.for_organization("acme").get("k") == "acme's"


def test_key_prefixes_are_separate(config: MemoryConfig) -> None:
    """A memory sees no records of another key_prefix, even if one begins with the other (C6)."""
    url = config.connection_url
    memories = {
        prefix: Workflow("flow", MemoryConfig(connection_url=url, key_prefix=prefix)).memory
        for prefix in ("", "a", "a:", "ab")
    }
    for prefix, memory in memories.items():
        memory.set("k", prefix)
    memories["a"].clear()
    assert memories["a"].list_keys() == []
    for prefix in ("", "a:", "ab"):
        assert memories[prefix].get("k") == prefix


def test_view_shares_the_records_of_its_user(memory: MemoryManager) -> None:
    """A view reads and writes the records of its user, with every operation and without a scope."""
    view = memory.for_user("u")
    view.set("k", [1])
    assert view.append("k", 2) == 2
    assert memory.get("k", scope="user", user_id="u") == [1, 2]
    assert view.list_keys() == ["k"]
    assert view.get("k", scope="user", user_id="u") == [1, 2]
    view.clear()
    assert memory.list_keys(scope="user", user_id="u") == []


def test_view_refuses_other_scopes_and_ids(memory: MemoryManager) -> None:
    """A view refuses every other scope and id, an explicit "workflow" too (C4)."""
    view = memory.for_user("u")
    view.set("k", 1)
    assert view.get("k") == 1
    with pytest.raises(ScopeError, match="this view has only the user scope"):
        view.get("k", scope="workflow")
    with pytest.raises(ScopeError, match="another user_id was passed"):
        view.get("k", user_id="v")
    with pytest.raises(ScopeError, match="another user_id was passed"):
        memory.for_organization("acme").get("k", user_id="u")


def test_view_checks_its_id(memory: MemoryManager) -> None:
    """for_user() refuses an invalid id when it is called (C4)."""
    with pytest.raises(ScopeError):
        memory.for_user("")
    with pytest.raises(InvalidKeyError):
        memory.for_user("a\0b")
    with pytest.raises(ScopeError):
        memory.for_organization("")


def test_view_keeps_the_store_open(config: MemoryConfig) -> None:
    """A view works on after its workflow and its manager are gone (C22)."""
    view = Workflow("flow", config).memory.for_user("u")
    gc.collect()
    view.set("k", 1)
    assert view.get("k") == 1


def test_closed_memory_raises(config: MemoryConfig) -> None:
    """After close(), every operation raises StorageError: sync, async and of views (C22)."""
    with Workflow("flow", config) as workflow:
        memory, view = workflow.memory, workflow.memory.for_user("u")
        memory.set("k", 1)
    memory.close()
    for operation in (
        lambda: memory.get("k"),
        lambda: view.set("k", 1),
        lambda: memory.list_keys(),
        lambda: asyncio.run(memory.aget("k")),
        lambda: asyncio.run(view.aset("k", 1)),
    ):
        with pytest.raises(StorageError, match="was closed"):
            operation()


def test_aclose_closes_the_memory(config: MemoryConfig) -> None:
    """aclose() and ``async with`` close a memory as close() does (C22)."""

    async def use() -> MemoryManager:
        async with Workflow("flow", config) as workflow:
            await workflow.memory.aset("k", 1)
        await workflow.aclose()
        return workflow.memory

    with pytest.raises(StorageError, match="was closed"):
        asyncio.run(use()).get("k")


def test_memory_as_context_manager(config: MemoryConfig) -> None:
    """A memory is a context manager, which closes it."""
    with Workflow("flow", config).memory as memory:
        memory.set("k", 1)
    with pytest.raises(StorageError):
        memory.get("k")


def test_memory_is_in_no_reference_cycle(config: MemoryConfig) -> None:
    """A memory is in no reference cycle, so its store is released at once (C22)."""
    gc.disable()
    try:
        workflow = Workflow("flow", config)
        workflow.memory.set("k", 1)
        workflow.memory.for_user("u").set("k", 1)
        gone = weakref.ref(workflow.memory)
        del workflow
        assert gone() is None
    finally:
        gc.enable()


def test_reprs_name_the_owner(memory: MemoryManager) -> None:
    """repr() of a memory names its owner, and shows no record."""
    assert repr(memory) == "<MemoryManager of workflow 'flow'>"
    assert repr(memory.for_user("u")) == "<MemoryView of user 'u'>"
    assert repr(Workflow("flow")) == "<Workflow 'flow'>"
    assert isinstance(memory.for_user("u"), MemoryView)
    assert repr(fibonacci.NO_EXPIRY) == "NO_EXPIRY"
