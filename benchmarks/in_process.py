"""The ``memory`` backend against a dict that holds what orjson makes of a value.

The dict is the floor: it does not check keys, scopes, ids or values, knows no expiry, and takes
NaN for null. Run it with ``python benchmarks/in_process.py``.
"""

import platform
from typing import Any

import orjson
from measure import seconds_per_call
from values import VALUES

from fibonacci import MemoryConfig, Workflow
from fibonacci._memory import codec
from fibonacci.plugin import Address, Space

ADDRESS = Address(Space("fibonacci:", "workflow", "benchmark"), "key")

GOALS = {("get", "2 KB"): 0.7, ("set", "2 KB"): 0.13}
"""Ratios to the dict that a release must show, of operations a second."""


def compare(value: Any) -> dict[str, float]:
    """Return the seconds a call for the dict and for the memory."""
    plain: dict[str, bytes] = {"key": orjson.dumps(value)}
    memory = Workflow("benchmark", MemoryConfig(connection_url="memory://benchmark")).memory
    memory.set("key", value)

    def dict_set() -> None:
        plain["key"] = orjson.dumps(value)

    return seconds_per_call(
        {
            "dict get": lambda: orjson.loads(plain["key"]),
            "get": lambda: memory.get("key"),
            "dict set": dict_set,
            "set": lambda: memory.set("key", value),
            "exists": lambda: memory.exists("key"),
            "encode": lambda: codec.encode(value, ADDRESS),
            "decode": lambda: codec.decode(plain["key"], ADDRESS),
        }
    )


def main() -> None:
    """Print a table: microseconds, and the memory's speed relative to the dict's.

    "own" is what is left of ours without the codec, which checks and converts the value.
    """
    print(f"Python {platform.python_version()}, orjson {orjson.__version__}")
    print(f"{'value':8}{'verb':8}{'dict µs':>10}{'ours µs':>10}{'own µs':>10}{'ratio':>8}  goal")
    for name, value in VALUES.items():
        found = compare(value)
        for verb in ("get", "set"):
            floor, ours = found[f"dict {verb}"] * 1e6, found[verb] * 1e6
            own = ours - found["decode" if verb == "get" else "encode"] * 1e6
            goal = GOALS.get((verb, name))
            print(
                f"{name:8}{verb:8}{floor:10.2f}{ours:10.2f}{own:10.2f}"
                f"{floor / ours:8.2f}  {goal or ''}"
            )
        print(f"{name:8}{'exists':8}{'':10}{found['exists'] * 1e6:10.2f}")


if __name__ == "__main__":
    main()
