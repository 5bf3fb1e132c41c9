"""The contract of template engines, clause by clause."""

from fibonacci.testing.engine.errors import ErrorTests, SharingTests
from fibonacci.testing.engine.references import MissingValueTests, NameTests, ReferenceTests
from fibonacci.testing.engine.rendering import AnyTextTests, SinglePassTests, ValueFormTests

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
    """All that a template engine has to keep; subclass it and say which ``engine``."""
