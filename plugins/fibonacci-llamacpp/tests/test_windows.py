"""The plugin on a system without Unix sockets."""

import socket

import pytest
from windows import run_without_forks

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings
from fibonacci_llamacpp import fibonacci_model

PROGRAM = """
import socket
del socket.AF_UNIX
from fibonacci import LLMNode, Workflow

workflow = Workflow("w")
workflow.add_node(LLMNode("n", "llamacpp:smollm2", "Hi"))
try:
    workflow.validate()
except Exception as error:
    print(repr(error))
"""


def test_missing_unix_sockets_are_reported_by_validate() -> None:
    """validate() reports a system without Unix sockets."""
    assert run_without_forks(PROGRAM) == (
        "ConfigurationError('llamacpp: this system has no Unix sockets, which its server "
        "requires: use Linux or macOS')\n"
    )


def test_unix_sockets_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without Unix sockets is refused, whatever its name."""
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConfigurationError, match="no Unix sockets"):
        fibonacci_model(ModelSettings(model="smollm2"))
