"""What ``import fibonacci`` costs over a bare interpreter, and what it loads.

Run it with ``python benchmarks/import_time.py``, twice: the first run may compile the sources.
"""

import os
import subprocess
import sys
from statistics import median
from time import perf_counter

GOAL = 100
"""Milliseconds over bare Python."""

# An installed package is compiled; this one has to be, too, whatever the environment says.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}

UNWANTED = ("asyncio", "importlib_metadata", "yaml", "pickle", "redis", "psycopg", "boto3")


def milliseconds(program: str) -> float:
    """Return how long a new interpreter takes to run the program."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=ENVIRONMENT)
    return (perf_counter() - start) * 1e3


def main() -> None:
    """Print medians of eleven runs, bare and with the import in turn."""
    pairs = [(milliseconds("pass"), milliseconds("import fibonacci")) for _ in range(11)]
    bare, ours = (median(column) for column in zip(*pairs, strict=True))
    print(f"bare {bare:.0f} ms, import fibonacci {ours:.0f} ms: {ours - bare:.0f} ms (goal {GOAL})")
    listing = subprocess.run(
        [sys.executable, "-c", "import fibonacci, sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    loaded = {name.partition(".")[0] for name in listing.stdout.split()}
    print(f"loaded of {', '.join(UNWANTED)}: {sorted(loaded.intersection(UNWANTED)) or 'none'}")


if __name__ == "__main__":
    main()
