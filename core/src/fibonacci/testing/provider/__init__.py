"""The contract of model providers, clause by clause."""

from fibonacci.testing.provider.answers import Answers
from fibonacci.testing.provider.deadlines import Deadlines
from fibonacci.testing.provider.failures import Failures
from fibonacci.testing.provider.forks import Forks
from fibonacci.testing.provider.limits import Limits
from fibonacci.testing.provider.questions import Questions
from fibonacci.testing.provider.sharing import Sharing
from fibonacci.testing.provider.streams import Streams

__all__ = ["ProviderContract"]


class ProviderContract(
    Answers,
    Streams,
    Limits,
    Deadlines,
    Failures,
    Questions,
    Sharing,
    Forks,
):
    """All that a model has to keep; subclass it and say which ``model``."""
