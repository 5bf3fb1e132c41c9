"""The overhead of a workflow over the bare calls of its nodes; LangGraph too, if it is installed.

The nodes do nothing. Run it with ``python benchmarks/workflows.py``.
"""

import platform
from collections.abc import Callable
from typing import Any

from measure import seconds_per_call

from fibonacci import FunctionNode, LLMNode, Workflow

COUNT = 10
GOALS = {"one": (15, 20), "sequence": (60, 20), "parallel": (120, 10)}
"""Microseconds at most over the bare calls, and how many times LangGraph's."""


def nothing(_: Any) -> int:
    """Do nothing, as each node does."""
    return 1


def bare(count: int) -> Callable[[], None]:
    """Make the bare calls."""

    def run() -> None:
        for _ in range(count):
            nothing(None)

    return run


def ours(count: int, *, chained: bool) -> Callable[[], object]:
    """Return a workflow of that many nodes."""
    workflow = Workflow("benchmark")
    for number in range(count):
        before = [f"n{number - 1}"] if chained and number else []
        workflow.add_node(FunctionNode(f"n{number}", nothing, dependencies=before))
    return workflow.execute


def model_node() -> Callable[[], object]:
    """One node with a template, memory and a model; the model does nothing."""
    workflow = Workflow("benchmark-llm")
    workflow.add_node(
        LLMNode(
            "chat",
            lambda request: "yes",
            "{{memory.history}} {{input.message}}",
            memory_read=["history"],
        )
    )
    workflow.memory.set("history", ["hello"] * 4, scope="user", user_id="u")
    return lambda: workflow.execute({"message": "hello"}, "u")


def langgraph(count: int, *, chained: bool) -> Callable[[], object] | None:
    """Return the same in LangGraph, or None if it is not installed."""
    try:
        from langgraph.graph import END, START, StateGraph
    except ModuleNotFoundError:
        return None
    from typing import TypedDict

    fields = {f"v{number}": int for number in range(count)}
    builder = StateGraph(TypedDict("State", fields))
    for number in range(count):
        builder.add_node(f"n{number}", lambda state, number=number: {f"v{number}": nothing(state)})
        builder.add_edge(f"n{number - 1}" if chained and number else START, f"n{number}")
        if not chained or number == count - 1:
            builder.add_edge(f"n{number}", END)
    graph = builder.compile()
    return lambda: graph.invoke({})


def main() -> None:
    """Print a table: microseconds of the bare calls, our overhead, and LangGraph's."""
    shapes = {"one": (1, True), "sequence": (COUNT, True), "parallel": (COUNT, False)}
    contenders: dict[str, Callable[[], object]] = {"one, with memory": model_node()}
    for name, (count, chained) in shapes.items():
        contenders[f"bare {name}"] = bare(count)
        contenders[f"ours {name}"] = ours(count, chained=chained)
        rival = langgraph(count, chained=chained)
        if rival is not None:
            contenders[f"langgraph {name}"] = rival
    found = {name: seconds * 1e6 for name, seconds in seconds_per_call(contenders).items()}

    print(f"Python {platform.python_version()}; {COUNT} nodes in sequence and in parallel")
    print(
        f"{'nodes':10}{'bare µs':>10}{'added µs':>10}{'goal':>6}{'langgraph':>11}{'times':>7}  goal"
    )
    for name, (most, times) in GOALS.items():
        added = found[f"ours {name}"] - found[f"bare {name}"]
        rival_time = found.get(f"langgraph {name}")
        beside = (
            f"{rival_time:11.0f}{rival_time / found[f'ours {name}']:7.1f}" if rival_time else ""
        )
        print(
            f"{name:10}{found[f'bare {name}']:10.2f}{added:10.1f}{most:6}"
            f"{beside or '  not installed'}  {times}"
        )
    print(
        f"one LLM node that reads memory and renders a prompt: {found['one, with memory']:.1f} µs"
    )


if __name__ == "__main__":
    main()
