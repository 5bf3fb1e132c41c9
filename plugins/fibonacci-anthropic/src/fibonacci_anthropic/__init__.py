"""Claude for Fibonacci, through Anthropic's SDK: ``LLMNode(model="claude-…", …)``."""

from typing import Final

from fibonacci.errors import ConfigurationError
from fibonacci.plugin import ModelSettings, hookimpl
from fibonacci_anthropic.access import check_text
from fibonacci_anthropic.model import AnthropicModel
from fibonacci_anthropic.secret import Secret

__all__ = ["FIBONACCI_SPEC_VERSION", "AnthropicModel", "fibonacci_model"]

FIBONACCI_SPEC_VERSION: Final = 1


@hookimpl
def fibonacci_model(settings: ModelSettings) -> AnthropicModel:
    """Return the model of this name, with the key of the environment.

    The key is looked for here, and the SDK is imported when the first prompt comes. Raises
    ConfigurationError.
    """
    if settings.model in {"anthropic", "anthropic:", "claude-"}:
        raise ConfigurationError("anthropic: name a model: claude-sonnet-5-5, anthropic:model-name")
    if settings.model.endswith(":latest"):
        raise ConfigurationError(
            "anthropic: a model of Anthropic's has no tag: leave :latest out of its name"
        )
    check_text(Secret(settings.model), "the model's name")
    return AnthropicModel(settings.model)
