"""A system without Unix sockets has no llama.cpp of ours, and is told so."""

from windows import run_without_forks

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
        "ConfigurationError('llamacpp: this system has no Unix sockets, on which its server "
        "answers: take Linux or macOS')\n"
    )
