"""What ``import fibonacci`` loads, and what it does not load before it is needed.

Each test asks two fresh interpreters: one that imports what core depends on, and one that runs
core. What only the second has loaded, core loaded.
"""

import json
import os
import subprocess
import sys
from functools import cache

import pytest

DRIVERS = {
    *("redis", "valkey", "psycopg", "psycopg2", "asyncpg", "boto3", "botocore", "aioboto3"),
    *("sqlite3", "cryptography", "jinja2", "anthropic", "openai", "httpx", "requests"),
}
"""Drivers of any backend: they come with its plugin, and load when it is chosen."""

SLOW_OR_UNSAFE = {
    *("asyncio", "importlib.metadata", "importlib_metadata", "yaml", "pickle", "_pickle"),
    *(
        "logging",
        "shelve",
        "difflib",
        "hypothesis",
        "pytest",
        "_pytest",
        "json.tool",
        "unittest",
        "pathlib",
    ),
}
"""What costs tens of milliseconds, or could run what it reads."""


@cache
def loaded_by(source: str) -> frozenset[str]:
    """Return the modules that a fresh interpreter has loaded after this source."""
    program = f"{source}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={
            name: value for name, value in os.environ.items() if name != "FIBONACCI_BLOCK_PLUGINS"
        },
    )
    return frozenset(json.loads(answer.stdout))


def loaded_by_core(source: str) -> frozenset[str]:
    """Return the modules that core loads, without those that its dependencies load."""
    return loaded_by(source) - loaded_by("import attr, attrs, json, orjson, pluggy")


def test_importing_core_loads_no_driver():
    """Importing core loads no driver, not even through a dependency."""
    assert not loaded_by("import fibonacci") & DRIVERS


def test_importing_core_loads_nothing_slow_or_unsafe():
    """asyncio, logging and importlib.metadata wait for their first use; pickle is never used."""
    assert not loaded_by_core("import fibonacci") & SLOW_OR_UNSAFE


def test_importing_core_loads_neither_testing_nor_plugins():
    """Importing core loads neither ``fibonacci.testing`` nor an installed backend."""
    ours = {name for name in loaded_by_core("import fibonacci") if name.startswith("fibonacci")}
    assert "fibonacci.testing" not in ours
    assert {name.split(".")[0] for name in ours} == {"fibonacci"}


MEMORY_IN_USE = """
from fibonacci import Workflow
memory = Workflow("w").memory
memory.set("k", {"a": [1, 2**64, None, 1.5]}, ttl=60)
memory.append("turns", 1, 2)
assert memory.get("k") and memory.list_keys(pattern="*") and memory.clear()
"""


def test_the_default_backend_never_looks_for_plugins():
    """A sync memory of the default backend reads no metadata and loads no event loop."""
    assert not loaded_by_core(MEMORY_IN_USE) & (DRIVERS | SLOW_OR_UNSAFE)


OFFLINE_RUN = """
from fibonacci import LLMNode, Workflow
workflow = Workflow("w")
workflow.add_node(LLMNode("a", "echo", "hello {{ input.name }}"))
assert workflow.execute({"name": "Ada"})["a"] == "hello Ada"
"""


def test_an_offline_model_never_looks_for_plugins():
    """A run of a built-in model reads no metadata and loads no event loop."""
    assert not loaded_by_core(OFFLINE_RUN) & (DRIVERS | SLOW_OR_UNSAFE)


@pytest.mark.parametrize(
    ("source", "module"),
    [
        (
            "import asyncio, fibonacci\nasyncio.run(fibonacci.Workflow('w').memory.aget('k'))",
            "asyncio",
        ),
        ("import fibonacci\nfibonacci.plugins()", "importlib_metadata"),
    ],
)
def test_the_measurement_sees_late_modules(source: str, module: str):
    """The measurement sees the modules that the other tests expect to be absent."""
    assert module in loaded_by_core(source)


def test_importing_the_plugin_package_loads_no_driver():
    """``fibonacci.plugin`` imports no more than ``fibonacci``."""
    assert not loaded_by_core("import fibonacci.plugin") & (DRIVERS | SLOW_OR_UNSAFE)
