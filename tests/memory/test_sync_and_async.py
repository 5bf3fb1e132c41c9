"""The operations of a memory as sync and as async methods."""

import inspect

import pytest

from fibonacci import MemoryManager

OPERATIONS = sorted(
    name.removeprefix("a")
    for name in dir(MemoryManager)
    if name.startswith("a") and hasattr(MemoryManager, name.removeprefix("a"))
)


def test_every_operation_is_sync_and_async() -> None:
    """MemoryManager has these operations, each as ``name`` and ``aname``."""
    assert OPERATIONS == [
        "add", "append", "clear", "close", "delete", "delete_many", "exists", "get", "get_many",
        "histories", "increment", "iter_keys", "list_keys", "rewrap", "set", "set_many", "touch",
        "ttl", "update",
    ]  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_sync_and_async_signatures_are_equal(name: str) -> None:
    """The sync and async form have the same parameters, defaults and annotations."""
    sync = inspect.signature(getattr(MemoryManager, name))
    twin = inspect.signature(getattr(MemoryManager, f"a{name}"))
    assert sync.parameters == twin.parameters
    if name != "iter_keys":
        assert sync.return_annotation == twin.return_annotation
    for parameter in sync.parameters.values():
        assert parameter.default is twin.parameters[parameter.name].default


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_a_plain_documented_method(name: str) -> None:
    """Each form is a function with its own name, source and docstring, which ``help()`` shows."""
    for method in (getattr(MemoryManager, name), getattr(MemoryManager, f"a{name}")):
        assert method.__name__ in (name, f"a{name}")
        assert f"def {method.__name__}(" in inspect.getsource(method)
        assert method.__doc__


def test_default_scope_reads_workflow() -> None:
    """The default of scope is shown as "workflow"; its type lists the scopes."""
    signature = inspect.signature(MemoryManager.get)
    scopes = "Literal['workflow', 'user', 'organization', 'global']"
    assert str(signature).startswith(f"(self, key: str, scope: {scopes} = 'workflow'")
    assert signature.parameters["scope"].default == "workflow"
