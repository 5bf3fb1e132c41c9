"""The offline model ``echo``: it says what it hears."""

from typing import ClassVar, Final

from fibonacci._builtin.stops import up_to_stop
from fibonacci.errors import ConfigurationError
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.models import Completion, Model, ModelRequest, ModelSettings

FIBONACCI_SPEC_VERSION: Final = 1


class Echo(Model):
    """Answers with the prompt, so that one can see what a node would send.

    It stands in for any model, and so takes what any model may.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset(("temperature", "stop"))

    def complete(self, request: ModelRequest) -> Completion:
        return up_to_stop(request.prompt, request.stop)


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """Return the echo."""
    if settings.model != "echo":
        raise ConfigurationError(
            f"there is one echo, and it is named 'echo', not {settings.model!r}"
        )
    return Echo()
