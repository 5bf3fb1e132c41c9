"""Times calls side by side: in turn, several rounds, medians."""

import gc
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter


def seconds_per_call(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 9, seconds: float = 0.1
) -> dict[str, float]:
    """Return the median seconds a call of each contender.

    Each round visits all contenders in turn, so a slow moment of the machine meets them all, and
    lasts about ``seconds`` for each. The collector is off, as one run of it would hit one round.
    """
    times = {name: _times_for(call, seconds) for name, call in contenders.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in contenders.items():
                found[name].append(_timed(call, times[name]) / times[name])
            gc.collect()
    finally:
        gc.enable()
    return {name: median(one) for name, one in found.items()}


def _times_for(call: Callable[[], object], seconds: float) -> int:
    times = 1
    while (spent := _timed(call, times)) < seconds / 10:
        times *= 2
    return max(1, round(times * seconds / spent))


def _timed(call: Callable[[], object], times: int) -> float:
    repeats = range(times)
    start = perf_counter()
    for _ in repeats:
        call()
    return perf_counter() - start
