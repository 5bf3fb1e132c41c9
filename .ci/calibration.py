"""How slow this machine is now, compared with the one that the budgets were measured on.

A virtual machine shares its processor: the same work may take twice the CPU seconds an hour later.
"""

import time
from collections.abc import Sequence
from statistics import fmean
from threading import Event, Thread

INTERVAL = 10
"""Seconds between two samples."""


class Calibration:
    """Samples the speed of the machine while a step runs."""

    def __init__(self, reference: float) -> None:
        self._reference = reference
        self._samples: list[float] = []
        self._over = Event()
        self._thread = Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return how many times longer than the reference the same work took; 1 at least."""
        self._over.set()
        self._thread.join()
        return slowdown(self._samples, self._reference)

    def _sample(self) -> None:
        while True:
            self._samples.append(reference_work())
            if self._over.wait(INTERVAL):
                return


def slowdown(samples: Sequence[float], reference: float) -> float:
    """Return how many times longer than the reference the samples took; 1 at least.

    The mean, as the CPU seconds of a step are a sum, too. Work takes twice as long while another
    process uses the same core: the samples have two peaks, and a median would be on either of them.
    """
    return max(1.0, fmean(samples) / reference)


def reference_work() -> float:
    """Do a fixed piece of work; return the CPU seconds that it took."""
    start = time.thread_time()
    sum(number * number for number in range(500_000))
    return time.thread_time() - start
