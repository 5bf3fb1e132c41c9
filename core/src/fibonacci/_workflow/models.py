"""Finding the model of a node: by name, by prefix, or from a function."""

from collections.abc import Iterator
from typing import Any

from fibonacci._discovery import find_plugin, has_plugin, match_prefix
from fibonacci._workflow.function_models import FunctionModel
from fibonacci._workflow.nodes import LLMNode
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Completion, Model, ModelSettings

OPTIONAL = ("temperature", "stop")
"""Options of a node that not every model supports."""


def find_model(model: Any) -> Model:
    """Return a node's model. Raises PluginError or ConfigurationError."""
    if isinstance(model, Model):
        return model
    if not isinstance(model, str):
        return FunctionModel(model)
    provider, _, rest = model.partition(":")
    prefix = None if has_plugin("models", provider) else match_prefix("models", model)
    # Without a plugin of such a prefix, find_plugin finds the provider's, or says what to install.
    settings = ModelSettings(model=model if prefix else rest or model)
    found: Model = find_plugin("models", prefix or provider).call_hook(settings, Model)
    return found


def unsupported_options(node: LLMNode, model: Model) -> Iterator[str]:
    """Yield a message for each option that the node sets and the model does not support."""
    for option in OPTIONAL:
        if getattr(node, option) not in (None, ()) and option not in model.supported_options:
            yield f"node {node.id!r}: its model does not support {option}: leave it out"
    if node.history is not None and "messages" not in model.supported_options:
        yield (
            f"node {node.id!r}: its model does not support messages: leave out history, and put "
            f"the conversation into the prompt"
        )


def check_completion(completion: Any) -> None:
    """Raise WorkflowValidationError for what a model must not return."""
    if not isinstance(completion, Completion):
        raise WorkflowValidationError(
            f"a model must return a Completion, not {type(completion).__name__}"
        )


def model_name(model: Any) -> str:
    """Return what a trace calls a node's model, if its provider does not say: no repr."""
    if isinstance(model, str):
        return model
    return getattr(model, "__qualname__", None) or type(model).__qualname__
