"""Systems that lack what a backend waits with: told in words, when it is set up."""

import pytest
from windows import run_without_forks

from fibonacci import ConfigurationError, MemoryConfig, Workflow

URLS = {
    "redis": "redis://localhost",
    "postgres": "postgresql://localhost/db",
    "dynamodb": "dynamodb://eu-west-1",
}

PROGRAM = """
import sys
from fibonacci import ConfigurationError, MemoryConfig, Workflow

for backend, url in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        Workflow("w", MemoryConfig(backend, url))
    except ConfigurationError as fault:
        print(str(fault).split(" works")[0])
"""


@pytest.mark.parametrize("backend", URLS)
def test_a_system_without_poll(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """The error names the backend, the systems that it works on, and ways out."""
    monkeypatch.delattr("select.poll")
    with pytest.raises(ConfigurationError, match=f"^backend '{backend}' works on .* WSL"):
        Workflow("w", MemoryConfig(backend, URLS[backend]))


def test_a_system_without_forks_either() -> None:
    """It is this error, and not that of an import, which such a system fails as well."""
    arguments = [one for pair in URLS.items() for one in pair]
    told = run_without_forks(PROGRAM, *arguments).splitlines()
    assert told == [f"backend '{backend}'" for backend in URLS]
