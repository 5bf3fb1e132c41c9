"""The contract of template engines."""

from fibonacci.testing.engine.errors import ErrorTests
from fibonacci.testing.engine.references import MissingValueTests, NameTests, ReferenceTests
from fibonacci.testing.engine.rendering import AnyTextTests, SinglePassTests, ValueFormTests
from fibonacci.testing.engine.sharing import SharingTests

__all__ = ["EngineContract"]


class EngineContract(
    SinglePassTests,
    NameTests,
    MissingValueTests,
    ValueFormTests,
    ReferenceTests,
    ErrorTests,
    SharingTests,
    AnyTextTests,
):
    """The suite for template engines: subclass it and set ``engine``."""
