"""The contract of model providers, clause by clause."""

from fibonacci.testing.provider.completions import CompletionTests, OptionTests, PromptTests
from fibonacci.testing.provider.failures import DeadlineTests, FailureTests
from fibonacci.testing.provider.sharing import ForkTests, SharingTests
from fibonacci.testing.provider.streams import StreamTests

__all__ = ["ProviderContract"]


class ProviderContract(
    CompletionTests,
    StreamTests,
    OptionTests,
    DeadlineTests,
    FailureTests,
    PromptTests,
    SharingTests,
    ForkTests,
):
    """All that a model has to keep; subclass it and say which ``model``."""
