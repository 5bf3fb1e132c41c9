"""Threads that start together, and whose errors reach the test."""

from collections.abc import Callable, Sequence
from threading import Barrier, Thread

from fibonacci.testing import watchdog

CONCURRENT = 3
"""How many times longer than one call many concurrent ones may take."""


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

    # A test leaves those behind that hang: nothing can end them.
    threads = [Thread(target=run, args=(function,), daemon=True) for function in functions]
    watchdog.note_progress(CONCURRENT)
    for thread in threads:
        thread.start()
    try:
        if meanwhile:
            meanwhile()
    finally:
        for thread in threads:
            thread.join()
    watchdog.note_progress()
    if errors:
        raise errors[0]
