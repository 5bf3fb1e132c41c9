"""Systems that lack what a backend needs: the error says so before anything connects."""

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
    except Exception as error:
        print(type(error).__name__, error)
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
    """A Python without select.poll (eventlet, Windows) is refused with that reason."""
    monkeypatch.delattr(select, "poll")
    with pytest.raises(ConfigurationError) as caught:
        Workflow("w", MemoryConfig(backend, URLS[backend]))
    assert str(caught.value) == refusal(backend)


def test_backends_without_fork(tmp_path):
    """Without os.fork no backend fails on import; the sqlite backend works."""
    printed = run_without_forks(PROGRAM, f"sqlite:///{tmp_path / 'm.db'}", *URLS.values())
    refused = [f"ConfigurationError {refusal(backend)}" for backend in URLS]
    assert printed.splitlines() == [*refused, "['hello']"]
