"""From what a node names as its model to a model."""

from collections.abc import Callable, Iterator
from typing import Any

from fibonacci._discovery import find_plugin, has_plugin, match_prefix
from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.voice import plain_answer
from fibonacci.errors import WorkflowValidationError
from fibonacci.plugin.models import Completion, Model, ModelRequest, ModelSettings

OPTIONAL = ("temperature", "stop")
"""Fields of a request that not every model heeds."""


class FunctionModel(Model):
    """A function as a model: it gets the request, and returns text or a Completion."""

    supported_options = frozenset(OPTIONAL)

    def __init__(self, function: Callable[[ModelRequest], Any]) -> None:
        self._function = function

    def complete(self, request: ModelRequest) -> Completion:
        return _whole(plain_answer(self._function(request)))

    async def acomplete(self, request: ModelRequest) -> Completion:
        from fibonacci._workflow.async_voice import awaited

        return _whole(await awaited(self._function, request))


def find_model(model: Any) -> Model:
    """Return the model that a node names. Raises PluginError or ConfigurationError."""
    if isinstance(model, Model):
        return model
    if not isinstance(model, str):
        return FunctionModel(model)
    provider, _, rest = model.partition(":")
    claims = None if has_plugin("models", provider) else match_prefix("models", model)
    # Of the provider itself it is known by now, or its search finds it, or says what is missing.
    settings = ModelSettings(model=model if claims else rest or model)
    found: Model = find_plugin("models", claims or provider).call_hook(settings, Model)
    return found


def refusals(node: LLMNode, model: Model) -> Iterator[str]:
    """Say what the node sets and the model does not heed."""
    for field in OPTIONAL:
        if getattr(node, field) not in (None, ()) and field not in model.supported_options:
            yield f"node {node.id!r}: its model does not take {field}: leave it out"


def _whole(answer: Any) -> Completion:
    if isinstance(answer, Completion):
        return answer
    if isinstance(answer, str):
        return Completion(text=str.__str__(answer))
    raise WorkflowValidationError(
        f"a function as a model must return text or a Completion, not {type(answer).__name__}"
    )
