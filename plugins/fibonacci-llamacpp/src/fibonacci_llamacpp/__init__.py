"""Local models in the process, through llama.cpp: ``LLMNode(model="llamacpp:smollm2", …)``."""

import socket
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings, hookimpl
from fibonacci_llamacpp.engine import shared_engine
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.weights import find_weights

FIBONACCI_SPEC_VERSION: Final = 1


@hookimpl
def fibonacci_model(settings: ModelSettings) -> LlamaModel:
    """Return the model whose file or name stands behind ``llamacpp:``.

    The file is checked here, and loaded when the first prompt comes. Raises ConfigurationError.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError(
            "llamacpp: this system has no Unix sockets, on which its server answers: take Linux or "
            "macOS"
        )
    return LlamaModel(shared_engine(find_weights(settings.model)))
