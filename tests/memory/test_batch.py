"""Several records in few requests (C17)."""

from collections import OrderedDict
from typing import Any

import pytest

from fibonacci import (
    InvalidArgumentError,
    InvalidKeyError,
    MemoryManager,
    ScopeError,
    SerializationError,
)


def test_batch_operations_reach_each_key(memory: MemoryManager) -> None:
    """set_many(), get_many() and delete_many() reach each key, over many requests."""
    values = {f"k{number}": number for number in range(250)}
    assert memory.set_many(values) is True
    assert memory.get_many([*values, "absent"]) == values
    assert memory.delete_many([*values, "absent"]) == 250
    assert memory.list_keys() == []


def test_get_many_keeps_the_order(memory: MemoryManager) -> None:
    """get_many() returns the live records in the order of the keys, each once."""
    memory.set_many({"a": 1, "b": None, "c": 3})
    assert list(memory.get_many(iter(["c", "x", "b", "a", "c"]))) == ["c", "b", "a"]


def test_empty_batches_do_nothing(memory: MemoryManager) -> None:
    """get_many(), set_many() and delete_many() accept empty batches."""
    assert memory.get_many([]) == {}
    assert memory.set_many({}) is True
    assert memory.delete_many(()) == 0


def test_batch_is_checked_before_the_first_write(memory: MemoryManager) -> None:
    """set_many() writes nothing if one value or key is refused."""
    with pytest.raises(SerializationError, match="bad is of type object"):
        memory.set_many({"good": 1, "bad": object()})
    with pytest.raises(InvalidKeyError):
        memory.set_many({"good": 1, "": 2})
    with pytest.raises(InvalidArgumentError, match="ttl"):
        memory.set_many({"good": 1}, ttl=0)
    assert memory.list_keys() == []


@pytest.mark.parametrize("keys", ["text", b"bytes", 5, None])
def test_single_text_is_not_a_list_of_keys(memory: MemoryManager, keys: Any) -> None:
    """get_many() and delete_many() refuse a single text, instead of using its letters as keys."""
    for operation in (memory.get_many, memory.delete_many):
        with pytest.raises(InvalidArgumentError, match="keys must be a list"):
            operation(keys)


def test_set_many_needs_a_mapping(memory: MemoryManager) -> None:
    """set_many() takes any mapping, and refuses everything else."""
    memory.set_many(OrderedDict(a=1))
    with pytest.raises(InvalidArgumentError, match="mapping must be a dict"):
        memory.set_many([("a", 1)])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_empty_batch_checks_its_scope(memory: MemoryManager) -> None:
    """A batch checks its scope, even if it has no key (C4)."""
    memory.set_many({"k": 1}, scope="user", user_id="u")
    assert memory.get_many(["k"]) == {}
    assert memory.get_many(["k"], scope="user", user_id="u") == {"k": 1}
    with pytest.raises(ScopeError):
        memory.get_many([], scope="user")
