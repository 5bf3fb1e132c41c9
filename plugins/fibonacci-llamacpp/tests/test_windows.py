"""A system without Unix sockets has no llama.cpp of ours, and is told so."""

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
except Exception as fault:
    print(repr(fault))
"""


def test_it_is_told_before_anything_runs() -> None:
    """When the workflow is checked, and not by an import that fails."""
    assert run_without_forks(PROGRAM) == (
        "ConfigurationError('llamacpp: this system has no Unix sockets, which its server "
        "requires: use Linux or macOS')\n"
    )


def test_a_socket_that_the_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the sockets that count, and not the system's name."""
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConfigurationError, match="no Unix sockets"):
        fibonacci_model(ModelSettings(model="smollm2"))
