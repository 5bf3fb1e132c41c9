"""The offline model ``echo``: it returns the prompt."""

from typing import ClassVar, Final

from fibonacci._builtin.stop_sequences import truncate_at_stop
from fibonacci.errors import ConfigurationError
from fibonacci.plugin.hookspecs import hookimpl
from fibonacci.plugin.models import Completion, Model, ModelRequest, ModelSettings

FIBONACCI_SPEC_VERSION: Final = 1


class Echo(Model):
    """Returns the prompt, which shows what a node would send.

    It stands in for any model, and so takes every option.
    """

    supported_options: ClassVar[frozenset[str]] = frozenset(("temperature", "stop", "messages"))

    def complete(self, request: ModelRequest) -> Completion:
        return truncate_at_stop(request.prompt, request.stop)


@hookimpl
def fibonacci_model(settings: ModelSettings) -> Model:
    """Return the echo."""
    if settings.model != "echo":
        raise ConfigurationError(
            f"there is one echo, and it is named 'echo', not {settings.model!r}"
        )
    return Echo()
