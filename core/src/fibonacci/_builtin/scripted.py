"""The offline model ``scripted:[...]``: it gives the answers of a list, one after the other."""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any, ClassVar, Final

from fibonacci._builtin.stops import up_to_stop
from fibonacci.errors import ConfigurationError, ModelError
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.models import Completion, Model, ModelRequest, ModelSettings

FIBONACCI_SPEC_VERSION: Final = 1


class Scripted(Model):
    """Gives one answer after the other, in the order in which it is asked.

    It stands in for any model, and so takes what any model may.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset(("temperature", "stop"))

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = answers
        self._turn = count()

    def complete(self, request: ModelRequest) -> Completion:
        turn = next(self._turn)
        if turn >= len(self._answers):
            raise ModelError(
                f"the script has {len(self._answers)} answers, and was asked for one more"
            )
        return up_to_stop(self._answers[turn], request.stop)


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """Return a model with the answers of a JSON list: ``scripted:["Hello", "Bye"]``."""
    return Scripted(_answers(settings.model))


def _answers(text: str) -> list[str]:
    try:
        answers: Any = json.loads(text)
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
        raise ConfigurationError(
            'a scripted model takes its answers as a JSON list of texts: scripted:["Hello", "Bye"]'
        )
    return answers
