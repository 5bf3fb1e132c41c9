"""The offline model ``scripted:[...]``: each request gets the next completion of a list."""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar, Final

from fibonacci._builtin.stop_sequences import truncate_at_stop
from fibonacci.errors import ConfigurationError, ModelError
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.models import Completion, Model, ModelRequest, ModelSettings

FIBONACCI_SPEC_VERSION: Final = 1


class Scripted(Model):
    """Returns one completion after the other, in the order of the requests.

    It stands in for any model, and so takes every option.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset(("temperature", "stop", "messages"))

    def __init__(self, completions: Sequence[str]) -> None:
        self._completions = completions
        self._index = count()

    def complete(self, request: ModelRequest) -> Completion:
        index = next(self._index)
        if index >= len(self._completions):
            raise ModelError(
                f"the script has {len(self._completions)} completions, and got one more request"
            )
        return truncate_at_stop(self._completions[index], request.stop)


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """Return a model with the completions of a JSON list: ``scripted:["Hello", "Bye"]``."""
    return Scripted(_parse_completions(settings.model))


def _parse_completions(text: str) -> list[str]:
    try:
        completions: Any = json.loads(text)
    except (ValueError, RecursionError):
        completions = None
    if not isinstance(completions, list) or not all(isinstance(text, str) for text in completions):
        raise ConfigurationError(
            "a scripted model takes its completions as a JSON list of texts: "
            'scripted:["Hello", "Bye"]'
        )
    return completions
