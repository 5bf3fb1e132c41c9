"""Local models in the process, through llama.cpp: ``LLMNode(model="llamacpp:smollm2", …)``."""

from typing import Final

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
    return LlamaModel(shared_engine(find_weights(settings.model)))
