"""The types of the memory API as users see them; type checkers read it, nothing runs it."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Literal, Protocol, assert_type

from fibonacci import NO_EXPIRY, MemoryConfig, MemoryManager, MemoryView, Scope, Workflow

memory = Workflow("typed", MemoryConfig(backend="memory")).memory
assert_type(memory, MemoryManager)


class Get(Protocol):
    """The reference's signature of ``get``."""

    def __call__(
        self, key: str, scope: Scope = ..., user_id: str | None = ..., default: Any = ...
    ) -> Any: ...


class AsyncGet(Protocol):
    """The same calls in async code."""

    def __call__(
        self, key: str, scope: Scope = ..., user_id: str | None = ..., default: Any = ...
    ) -> Coroutine[Any, Any, Any]: ...


class Set(Protocol):
    """The reference's signature of ``set``."""

    def __call__(
        self,
        key: str,
        value: Any,
        scope: Scope = ...,
        user_id: str | None = ...,
        ttl: int | None = ...,
    ) -> bool: ...


get: Get = memory.get
aget: AsyncGet = memory.aget
set_: Set = memory.set

assert_type(memory.set("k", 1, ttl=NO_EXPIRY), Literal[True])
assert_type(memory.delete("k"), bool)
assert_type(memory.exists("k", scope="user", user_id="u"), bool)
assert_type(memory.clear(), Literal[True])
assert_type(memory.list_keys(pattern="cache:*"), list[str])
assert_type(memory.iter_keys(), Iterator[str])
assert_type(memory.aiter_keys(), AsyncIterator[str])
assert_type(memory.add("k", 1), bool)
assert_type(memory.append("k", 1, 2, max_items=20), int)
assert_type(memory.increment("k"), int)
assert_type(memory.increment("k", amount=2), int)
assert_type(memory.increment("k", 0.5), float)
assert_type(memory.for_user("u").increment("k", 2), int)
assert_type(memory.get_many(["k"]), dict[str, Any])
assert_type(memory.set_many({"k": 1}, ttl=0.5), Literal[True])
assert_type(memory.delete_many(["k"]), int)
assert_type(memory.ttl("k"), float | None)
assert_type(memory.touch("k", 60), bool)
assert_type(memory.rewrap("user", "u", start_after="k", progress=print), int)
scopes: list[Scope] = ["workflow", "user", "organization", "global"]
assert_type([memory.list_keys(scope) for scope in scopes], list[list[str]])
assert_type(memory.plaintext_read_count, int)
assert_type(memory.for_user("u"), MemoryView)
assert_type(memory.for_user("u").delete("k"), bool)


async def in_a_loop() -> None:
    """The async methods return the types of the sync ones."""
    assert_type(await memory.adelete("k"), bool)
    assert_type(await memory.alist_keys(), list[str])
    assert_type(await memory.attl("k"), float | None)
    assert_type(await memory.aappend("k", 1), int)
    assert_type(await memory.aincrement("k"), int)
    assert_type(await memory.aincrement("k", 0.5), float)
    assert_type(await memory.arewrap(start_after="k"), int)
    assert_type(await memory.for_user("u").aexists("k"), bool)


def what_is_refused() -> None:
    """Each line is an error to both type checkers; an unused ignore would be one, too."""
    memory.get(1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    memory.get("k", defualt=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    memory.get("k", "usr")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    memory.set("k", 1, scope="org")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    memory.list_keys("users")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    memory.for_user("u").get("k", "usr")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    memory.increment("k", "1")  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
    memory.set("k")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    memory.touch("k")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    memory.rewrap("workflow", None, "k")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    memory.append("k", max_items="3")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    MemoryConfig(default_ttl="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    MemoryConfig(plaintext_reads="alow")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    MemoryConfig(backnd="redis")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


updater: Callable[[list[str]], list[str]] = sorted
memory.update("k", updater, default=[])
