"""Objects of event loops: each is closed once, by its loop, even if nobody else can."""

import asyncio
import gc
from collections.abc import Callable

from forks import in_child

from fibonacci.plugin.runtime import LoopLocal


class Resource:
    """Counts how often it was closed and abandoned."""

    def __init__(self) -> None:
        self.closed = self.abandoned = 0

    async def close(self) -> None:
        self.closed += 1

    def close_nowait(self) -> None:
        self.abandoned += 1


def per_loop() -> LoopLocal[Resource]:
    return LoopLocal(Resource.close, Resource.close_nowait)


async def added(objects: LoopLocal[Resource]) -> Resource:
    objects.set(resource := Resource())
    assert objects.get() is resource
    return resource


async def settled() -> None:
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_loop_that_ends_closes_its_object() -> None:
    """A loop that ends closes its object once, and the registry forgets it."""
    objects = per_loop()
    resource = asyncio.run(added(objects))
    assert (resource.closed, resource.abandoned) == (1, 0)
    assert objects.pop_all() == []


def test_a_dropped_registry_closes_its_objects() -> None:
    """The objects of a registry that is garbage are closed by their loop, which runs on."""

    async def drop_registry() -> Resource:
        resource = await added(per_loop())
        await settled()
        assert resource.closed == 1
        return resource

    assert asyncio.run(drop_registry()).closed == 1


def test_a_removed_object_is_not_closed() -> None:
    """An object that was taken out stays open, and so does its successor in the same loop."""

    async def replace(take: Callable[[LoopLocal[Resource]], object]) -> tuple[Resource, Resource]:
        objects = per_loop()
        first = await added(objects)
        take(objects)
        assert objects.get() is None
        second = await added(objects)
        await settled()
        assert (first.closed, second.closed) == (0, 0)
        return first, second

    for take in (LoopLocal.pop_all, LoopLocal.reset_after_fork):
        first, second = asyncio.run(replace(take))
        assert (first.closed, second.closed) == (0, 1)


def test_a_loop_that_is_closed_abruptly() -> None:
    """The object is abandoned when the next loop comes; a loop may close its own sooner."""
    objects, loop = per_loop(), asyncio.new_event_loop()
    lost = loop.run_until_complete(added(objects))
    loop.close()

    async def close() -> Resource:
        resource = await added(objects)
        await objects.close_for(asyncio.get_running_loop())
        return resource

    closed = asyncio.run(close())
    assert (lost.closed, lost.abandoned) == (0, 1)
    assert (closed.closed, closed.abandoned) == (1, 0)


def test_a_forked_child_closes_nothing() -> None:
    """A forked child leaves the parent's objects to the parent."""
    with asyncio.Runner() as runner:
        objects = per_loop()
        resource = runner.run(added(objects))

        def start_again() -> bool:
            objects.reset_after_fork()
            gc.collect()
            mine = asyncio.run(added(objects))
            return (resource.closed, mine.closed) == (0, 1)

        in_child(start_again)
        assert resource.closed == 0
    assert resource.closed == 1
