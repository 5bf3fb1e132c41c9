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


def test_batches(memory: MemoryManager) -> None:
    """set_many, get_many and delete_many work on each key, over many requests."""
    values = {f"k{number}": number for number in range(250)}
    assert memory.set_many(values) is True
    assert memory.get_many([*values, "absent"]) == values
    assert memory.delete_many([*values, "absent"]) == 250
    assert memory.list_keys() == []


def test_get_many_keeps_the_order(memory: MemoryManager) -> None:
    """get_many returns the live ones in the order asked, each once."""
    memory.set_many({"a": 1, "b": None, "c": 3})
    assert list(memory.get_many(iter(["c", "x", "b", "a", "c"]))) == ["c", "b", "a"]


def test_nothing_is_a_batch(memory: MemoryManager) -> None:
    """Empty batches do nothing, and say so."""
    assert memory.get_many([]) == {}
    assert memory.set_many({}) is True
    assert memory.delete_many(()) == 0


def test_all_is_checked_before_the_first_write(memory: MemoryManager) -> None:
    """One bad value or key in a batch, and none of it is written."""
    with pytest.raises(SerializationError, match="bad is of type object"):
        memory.set_many({"good": 1, "bad": object()})
    with pytest.raises(InvalidKeyError):
        memory.set_many({"good": 1, "": 2})
    with pytest.raises(InvalidArgumentError, match="ttl"):
        memory.set_many({"good": 1}, ttl=0)
    assert memory.list_keys() == []


@pytest.mark.parametrize("keys", ["text", b"bytes", 5, None])
def test_keys_are_a_list(memory: MemoryManager, keys: Any) -> None:
    """A single key where keys are due is refused, not taken letter by letter."""
    for verb in (memory.get_many, memory.delete_many):
        with pytest.raises(InvalidArgumentError, match="keys must be a list"):
            verb(keys)


def test_mapping_is_a_mapping(memory: MemoryManager) -> None:
    """set_many takes any mapping, and nothing else."""
    memory.set_many(OrderedDict(a=1))
    with pytest.raises(InvalidArgumentError, match="mapping must be a dict"):
        memory.set_many([("a", 1)])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_batches_have_a_scope(memory: MemoryManager) -> None:
    """A batch goes to one scope; an unknown one is refused even for no key (C4)."""
    memory.set_many({"k": 1}, scope="user", user_id="u")
    assert memory.get_many(["k"]) == {}
    assert memory.get_many(["k"], scope="user", user_id="u") == {"k": 1}
    with pytest.raises(ScopeError):
        memory.get_many([], scope="user")
