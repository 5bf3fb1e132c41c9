"""Claude for Fibonacci, through Anthropic's SDK: ``LLMNode(model="claude-…", …)``."""

from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings, hookimpl
from fibonacci_anthropic.credentials import Secret, check_text
from fibonacci_anthropic.model import AnthropicModel

__all__ = ["FIBONACCI_SPEC_VERSION", "AnthropicModel", "fibonacci_model"]

FIBONACCI_SPEC_VERSION: Final = 1


@hookimpl
def fibonacci_model(settings: ModelSettings) -> AnthropicModel:
    """Return the model of this name, with the API key from the environment.

    Reads the key now; imports the SDK at the first request. Raises ConfigurationError.
    """
    if settings.model in {"anthropic", "anthropic:", "claude-"}:
        raise ConfigurationError("anthropic: name a model: claude-sonnet-5-5, anthropic:model-name")
    if settings.model.endswith(":latest"):
        raise ConfigurationError(
            "anthropic: Anthropic's models have no tags: leave :latest out of the model's name"
        )
    check_text(Secret(settings.model), "the model's name")
    return AnthropicModel(settings.model)
