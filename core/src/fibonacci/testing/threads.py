"""Threads that start together, and whose errors reach the test."""

from collections.abc import Callable, Sequence
from threading import Barrier, Thread


def run_concurrently(
    functions: Sequence[Callable[[], object]], meanwhile: Callable[[], object] | None = None
) -> None:
    """Run each function in its own thread, and raise the first error of all."""
    barrier = Barrier(len(functions))
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        try:
            barrier.wait()
            function()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    try:
        if meanwhile:
            meanwhile()
    finally:
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
