"""Threads that start at one moment, and whose faults reach the test."""

from collections.abc import Callable, Sequence
from threading import Barrier, Thread


def in_threads(
    works: Sequence[Callable[[], object]], meanwhile: Callable[[], object] | None = None
) -> None:
    """Run each work in a thread of its own, and raise the first fault of all."""
    barrier = Barrier(len(works))
    faults: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait()
            work()
        except BaseException as fault:  # noqa: BLE001 - handed on below
            faults.append(fault)

    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        if meanwhile:
            meanwhile()
    finally:
        for thread in threads:
            thread.join()
    if faults:
        raise faults[0]
