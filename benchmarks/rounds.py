"""Times calls to a server side by side: in turn, nine rounds, medians, and our CPU time."""

import gc
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter, process_time

import attrs

ROUNDS = 9

Goals = Mapping[str, Mapping[str, float]]
"""By contender, then by verb or "verb, size": ratios to the base, of operations a second."""


@attrs.frozen
class Cost:
    """The cost of one call: elapsed seconds, and CPU seconds of this process."""

    wall: float
    cpu: float


def compare(contenders: Mapping[str, Callable[[int], object]], times: int) -> dict[str, Cost]:
    """Run the contenders in turn, each with its number of calls; return the medians."""
    found: dict[str, list[Cost]] = {name: [] for name in contenders}
    for run in contenders.values():
        run(times // 4 + 1)
    gc.disable()
    for _ in range(ROUNDS):
        for name, run in contenders.items():
            wall, cpu = perf_counter(), process_time()
            run(times)
            wall, cpu = perf_counter() - wall, process_time() - cpu
            found[name].append(Cost(wall / times, cpu / times))
        gc.collect()
    gc.enable()
    return {
        name: Cost(median(one.wall for one in costs), median(one.cpu for one in costs))
        for name, costs in found.items()
    }


def repeated(call: Callable[[], object]) -> Callable[[int], object]:
    """Repeat a call."""

    def run(times: int) -> None:
        for _ in range(times):
            call()

    return run


def show(size: str, verb: str, costs: dict[str, Cost], goals: Goals) -> None:
    """Print a line for each contender; the first is the base."""
    base, *_ = costs.values()
    for name, cost in costs.items():
        own = goals.get(name, {})
        goal = own.get(f"{verb}, {size}", own.get(verb, ""))
        print(
            f"{size:7}{verb:20}{name:16}{cost.wall * 1e6:9.1f} µs{cost.cpu * 1e6:9.1f} µs"
            f"{base.wall / cost.wall:9.2f}{cost.cpu / base.cpu:9.2f}  {goal}",
            flush=True,
        )
