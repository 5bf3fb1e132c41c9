"""Local models through llama.cpp: ``LLMNode(model="llamacpp:smollm2", …)``."""

import socket
from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings, hookimpl
from fibonacci_llamacpp.model import LlamaModel
from fibonacci_llamacpp.server import shared_model_server
from fibonacci_llamacpp.weights import find_weights

FIBONACCI_SPEC_VERSION: Final = 1


@hookimpl
def fibonacci_model(settings: ModelSettings) -> LlamaModel:
    """Return the model for the name or path after ``llamacpp:``.

    Checks the file now, and loads it at the first request. Raises ConfigurationError.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError(
            "llamacpp: this system has no Unix sockets, which its server requires: use Linux or "
            "macOS"
        )
    return LlamaModel(shared_model_server(find_weights(settings.model)))
