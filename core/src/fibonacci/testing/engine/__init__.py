"""The contract of template engines, clause by clause."""

from fibonacci.testing.engine.any_text import AnyText
from fibonacci.testing.engine.faults import Faults
from fibonacci.testing.engine.forms import Forms
from fibonacci.testing.engine.missing import Missing
from fibonacci.testing.engine.names import Names
from fibonacci.testing.engine.one_pass import OnePass
from fibonacci.testing.engine.references import References
from fibonacci.testing.engine.sharing import Sharing

__all__ = ["EngineContract"]


class EngineContract(
    OnePass,
    Names,
    Missing,
    Forms,
    References,
    Faults,
    Sharing,
    AnyText,
):
    """All that a template engine has to keep; subclass it and say which ``engine``."""
