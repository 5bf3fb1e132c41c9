"""add, update, append and increment: changes that concurrent writers don't lose (C16)."""

import asyncio
import math
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any

import pytest

from fibonacci import (
    ConflictError,
    InvalidArgumentError,
    MemoryConfig,
    MemoryManager,
    SerializationError,
    Workflow,
    WrongTypeError,
)
from fibonacci.plugin import Address, KeepTTL, Page, Space, Store
from fibonacci.testing.threads import run_concurrently


def repeat_in_threads(work: Callable[[int], Any], *, times: int) -> None:
    """Do the work in 8 threads at once, several times each."""

    def repeat(number: int) -> None:
        for time in range(times):
            work(number * times + time)

    run_concurrently([partial(repeat, number) for number in range(8)])


def test_threads_append_without_loss(memory: MemoryManager) -> None:
    """8 threads append 50 items each to one list: it has 400 items (C16)."""
    repeat_in_threads(lambda number: memory.append("k", number), times=50)
    assert sorted(memory.get("k")) == list(range(400))


def test_threads_increment_without_loss(memory: MemoryManager) -> None:
    """8 threads increment one number 50 times each: it is 400 (C16)."""
    repeat_in_threads(lambda _: memory.increment("k"), times=50)
    assert memory.get("k") == 400


def test_tasks_append_without_loss(memory: MemoryManager) -> None:
    """8 tasks append 50 items each to one list: it has 400 items (C16)."""

    async def one(number: int) -> None:
        for time in range(50):
            await memory.aappend("k", number * 50 + time)
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(8)))

    asyncio.run(all_of_them())
    assert sorted(memory.get("k")) == list(range(400))


def test_tasks_increment_without_loss(memory: MemoryManager) -> None:
    """8 tasks increment one number 50 times each: it is 400 (C16)."""

    async def one() -> None:
        for _ in range(50):
            await memory.aincrement("k")
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(8)))

    asyncio.run(all_of_them())
    assert memory.get("k") == 400


def test_one_of_several_adds_wins(memory: MemoryManager) -> None:
    """add() returns True for exactly one of 8 threads that add the same key (C16)."""
    won: list[int] = []
    repeat_in_threads(
        lambda number: won.append(number) if memory.add("k", number) else None, times=1
    )
    assert won == [memory.get("k")]


class Contended(Store):
    """A third-party store in which somebody else always came first."""

    def read(self, address: Address, *, deadline: float) -> bytes | None:
        return b"1"

    def compare_and_set(
        self, address: Address, expected: Any, data: bytes, ttl_ms: int | KeepTTL | None, **_: float
    ) -> bool:
        return False

    def write(self, address: Address, data: bytes, ttl_ms: int | None, **_: float) -> None: ...

    def remove(self, address: Address, *, deadline: float) -> bool:
        return True

    def remaining_ttl_ms(self, address: Address, *, deadline: float) -> None: ...

    def scan(self, space: Space, **_: Any) -> Page:
        return Page([], None)

    def close(self) -> None: ...


def test_contention_ends_at_the_deadline() -> None:
    """An update that never wins ends at the deadline: ConflictError, with the record (C16, C18)."""
    memory = Workflow("flow", MemoryConfig(Contended(), timeout=0.1)).memory
    with pytest.raises(ConflictError, match=r"gave up on 'k' in workflow scope of 'flow'"):
        memory.increment("k")
    with pytest.raises(ConflictError):
        asyncio.run(memory.aincrement("k"))
    with pytest.raises(ConflictError):
        memory.touch("k", 5)


def test_update_replaces_the_value(memory: MemoryManager) -> None:
    """update() replaces the value by the function's result, and returns it as stored."""
    memory.set("k", {"a": 1})
    assert memory.update("k", lambda old: {**old, "b": (1, 2)}) == {"a": 1, "b": [1, 2]}
    assert memory.get("k") == {"a": 1, "b": [1, 2]}


def test_update_passes_a_copy_of_the_default(memory: MemoryManager) -> None:
    """update() passes the function a copy of the default, which it may change."""
    default = ["first"]

    def grow(items: list[str]) -> list[str]:
        items.append("more")
        return items

    assert memory.update("k", grow, default) == ["first", "more"]
    assert default == ["first"]


def test_update_raises_the_error_of_the_function(memory: MemoryManager) -> None:
    """update() raises the error of its function, and writes nothing."""
    memory.set("k", 1)
    with pytest.raises(ZeroDivisionError):
        memory.update("k", lambda old: old / 0)
    assert memory.get("k") == 1


def test_update_refuses_async_functions(memory: MemoryManager) -> None:
    """update() refuses an async function, and what is not a function, and writes nothing."""

    async def change(old: Any) -> Any:
        return old

    with pytest.raises(InvalidArgumentError, match="sync function"):
        memory.update("k", change)
    with pytest.raises(InvalidArgumentError, match="not int"):
        memory.update("k", 3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    class Later:
        def __await__(self) -> Any: ...

    with pytest.raises(InvalidArgumentError, match="sync function"):
        memory.update("k", lambda _: Later())
    assert not memory.exists("k")


def test_function_of_update_may_use_the_memory(memory: MemoryManager) -> None:
    """The function of an update() may itself use the memory."""
    memory.set("rate", 3)
    assert memory.update("price", lambda old: old * memory.get("rate"), default=2) == 6


def test_append_keeps_the_newest(memory: MemoryManager) -> None:
    """append() adds one element per item, returns the length, and keeps the newest max_items."""
    assert memory.append("k", 1) == 1
    assert memory.append("k", [2], "3", max_items=2) == 2
    assert memory.get("k") == [[2], "3"]


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "3"])
def test_max_items_is_a_whole_number(memory: MemoryManager, bad: Any) -> None:
    """append() takes max_items of None, or an int of at least 1."""
    with pytest.raises(InvalidArgumentError, match="max_items"):
        memory.append("k", 1, max_items=bad)
    assert not memory.exists("k")


def test_append_needs_an_item(memory: MemoryManager) -> None:
    """append() without an item raises InvalidArgumentError."""
    with pytest.raises(InvalidArgumentError, match="at least one item"):
        memory.append("k")


@pytest.mark.parametrize("value", [None, 1, "text", {"a": 1}, True])
def test_append_needs_a_list(memory: MemoryManager, value: Any) -> None:
    """append() to a value that is not a list raises WrongTypeError, and the value stays."""
    memory.set("k", value)
    with pytest.raises(WrongTypeError, match=f"holds a {type(value).__name__}, not a list"):
        memory.append("k", 1)
    assert memory.get("k") == value


@pytest.mark.parametrize("value", [None, "1", [1], {}, True])
def test_increment_needs_a_number(memory: MemoryManager, value: Any) -> None:
    """increment() of a value that is no number, or is a bool, raises WrongTypeError; it stays."""
    memory.set("k", value)
    with pytest.raises(WrongTypeError, match="not a number"):
        memory.increment("k")
    assert memory.get("k") == value


class Level(IntEnum):
    """An int that is more than an int."""

    HIGH = 3


def test_increment_adds(memory: MemoryManager) -> None:
    """increment() counts an absent number as 0, and adds ints of any size exactly (C7)."""
    assert memory.increment("k") == 1
    assert memory.increment("k", 2**70) == 2**70 + 1
    assert type(memory.increment("k", -(2**70))) is int
    assert memory.increment("k", 0.5) == 1.5
    assert memory.increment("n", Level.HIGH) == 3
    assert memory.increment("m", 10**400) == 10**400


@pytest.mark.parametrize("amount", [True, "1", None, math.nan, math.inf, -math.inf, 1j])
def test_increment_takes_finite_numbers(memory: MemoryManager, amount: Any) -> None:
    """increment() refuses an amount that is not a finite number, and writes nothing."""
    with pytest.raises(InvalidArgumentError, match="amount"):
        memory.increment("k", amount)
    assert not memory.exists("k")


def test_increment_beyond_floats(memory: MemoryManager) -> None:
    """increment() refuses a sum that no float can hold, and the number stays."""
    memory.set("k", 10**400)
    with pytest.raises(InvalidArgumentError, match="can't be added"):
        memory.increment("k", 0.5)
    memory.set("f", 1.7e308)
    with pytest.raises(SerializationError, match="f is Infinity"):
        memory.increment("f", 1.7e308)
    assert memory.get("k") == 10**400
    assert memory.get("f") == 1.7e308


def test_default_of_update_is_checked_only_if_it_is_used(memory: MemoryManager) -> None:
    """update() checks that its default is JSON only if there is no record."""
    memory.set("k", [1])
    assert memory.update("k", len, default={1, 2}) == 1
    with pytest.raises(SerializationError):
        memory.update("absent", len, default={1, 2})


def test_increment_ignores_methods_of_number_subclasses(memory: MemoryManager) -> None:
    """increment() adds the number that a subclass holds, whatever its own methods return."""

    class Liar(int):
        def __radd__(self, other: Any) -> Any:
            return "x"

    assert memory.increment("k", Liar(3)) == 3
    assert memory.increment("k", Liar(3)) == 6


def test_stop_iteration_in_update_is_a_runtime_error(memory: MemoryManager) -> None:
    """update() raises RuntimeError if its function raises StopIteration."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        memory.update("k", lambda _: next(iter([])))
