"""The contract of model providers."""

from fibonacci.testing.provider.completions import CompletionTests, OptionTests, PromptTests
from fibonacci.testing.provider.failures import DeadlineTests, FailureTests
from fibonacci.testing.provider.messages import MessageTests
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
    MessageTests,
    SharingTests,
    ForkTests,
):
    """The suite for models: subclass it and set ``model``."""
