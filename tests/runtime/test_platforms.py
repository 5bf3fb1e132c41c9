"""Systems that lack what a backend stands on: said in words, before anything is connected."""

import select

import pytest
from windows import run_without_forks

from fibonacci import ConfigurationError, MemoryConfig, Workflow

URLS = {
    "redis": "redis://127.0.0.1:1",
    "postgres": "postgresql://127.0.0.1:1/db",
    "dynamodb": "dynamodb://eu-west-1",
}

PROGRAM = """
import sys
from fibonacci import MemoryConfig, Workflow

for url in sys.argv[2:]:
    try:
        Workflow("w", MemoryConfig(url.partition(":")[0].replace("postgresql", "postgres"), url))
    except Exception as fault:
        print(type(fault).__name__, fault)
memory = Workflow("w", MemoryConfig("sqlite", sys.argv[1])).memory
memory.append("turns", "hello")
print(memory.get("turns"))
"""


def refusal(backend: str) -> str:
    return (
        f"backend {backend!r} can't work here: this Python has no select.poll, which Windows lacks "
        "and eventlet removes. Use Linux, macOS or WSL, or another backend"
    )


@pytest.mark.parametrize("backend", URLS)
def test_a_python_without_poll(monkeypatch, backend: str):
    """eventlet takes it away; Windows has none."""
    monkeypatch.delattr(select, "poll")
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig(backend, URLS[backend]))
    assert str(caught.value) == refusal(backend)


def test_backends_where_there_are_no_forks(tmp_path):
    """None fails in its import; the one that keeps a file works."""
    told = run_without_forks(PROGRAM, f"sqlite:///{tmp_path / 'm.db'}", *URLS.values())
    refused = [f"ConfigurationError {refusal(backend)}" for backend in URLS]
    assert told.splitlines() == [*refused, "['hello']"]
