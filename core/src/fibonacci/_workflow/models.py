"""Finding the model of a node: by name, by prefix, or from a function."""

from collections.abc import Callable, Iterator
from typing import Any

from fibonacci._discovery import find_plugin, has_plugin, match_prefix
from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.runtime import reject_awaitable
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Completion, Model, ModelRequest, ModelSettings

OPTIONAL = ("temperature", "stop")
"""Options of a request that not every model supports."""


class FunctionModel(Model):
    """A function as a model: it gets the request, and returns text or a Completion."""

    supported_options = frozenset(OPTIONAL)

    def __init__(self, function: Callable[[ModelRequest], Any]) -> None:
        self._function = function

    def complete(self, request: ModelRequest) -> Completion:
        return _to_completion(reject_awaitable(self._function(request)))

    async def acomplete(self, request: ModelRequest) -> Completion:
        from fibonacci._workflow.async_runtime import call_async

        return _to_completion(await call_async(self._function, request))


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


def _to_completion(result: Any) -> Completion:
    if isinstance(result, Completion):
        return result
    if isinstance(result, str):
        return Completion(text=str.__str__(result))
    raise WorkflowValidationError(
        f"a function as a model must return text or a Completion, not {type(result).__name__}"
    )
